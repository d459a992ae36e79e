"""How much memory, depth and length a file may ask for, checked by header arithmetic before anything is allocated."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import BinaryIO

from insula.core.errors import LimitError, ScanError

_BLOCK = 1 << 20
_PACKED = 1 << 16  # bytes that are inflated at once: what lies behind the end of a piece is copied
_MOST_EMPTY = 1000  # pieces of a gzip file with nothing in them; one ends what bgzip writes
_ZIP_TAIL = 22 + 65_535  # the end record and the longest comment behind it
_ZIP64 = 56 + 20  # the end record in 64 bits and its locator


@dataclass(frozen=True)
class Limits:
    """The most that one scan may need.

    max_bytes: length of all its files together. max_voxels: values of the array, channels counted. max_pixels: pixels
    of one picture, below the limit of Pillow that stays on. max_files: files of one scan, frames of one file.
    max_nesting: depth of DICOM sequences. max_elements: of one DICOM file, those within sequences left out.
    max_items: of all sequences of one DICOM file; a scan of 5,000 frames may have 20 or more a frame.
    max_side: rows, columns or slices.
    max_slide_bytes: length of a whole slide, which is read in pieces. max_growth: how many times its own length a
    compressed file may inflate to once that is more than free_growth bytes; deflate reaches 1,030 where one value is
    repeated, and masks that are mostly empty about 700.
    """

    max_bytes: int = 2 << 30
    max_voxels: int = 1 << 28
    max_pixels: int = 80_000_000
    max_files: int = 5_000
    max_nesting: int = 32
    max_elements: int = 50_000
    max_items: int = 200_000
    max_side: int = 65_535
    max_slide_bytes: int = 1 << 36
    max_growth: int = 900
    free_growth: int = 1 << 28


LIMITS = Limits()


def file_size(path: Path, limits: Limits = LIMITS) -> int:
    """Bytes of a file; ScanError when it is missing, a folder or empty, LimitError when it is too long."""
    try:
        state = path.stat()
        mode, size = state.st_mode, state.st_size
    except (FileNotFoundError, NotADirectoryError):
        mode, size = 0, 0
    except (OSError, ValueError) as error:
        raise ScanError(f"'{path.name}' cannot be opened ({reason(error)}); check its path and permissions.") from error
    if not stat.S_ISREG(mode):
        what = "is a folder" if stat.S_ISDIR(mode) else "does not exist or is no regular file"
        raise ScanError(f"'{path.name}' {what}; give the path of a scan's file.")
    if size == 0:
        raise ScanError(f"'{path.name}' is empty (0 bytes); copy it again from its source.")
    if size > limits.max_bytes:
        raise LimitError(
            f"'{path.name}' is {size} bytes long, more than the {limits.max_bytes} allowed; give a smaller file."
        )
    return size


def slide_size(path: Path, limits: Limits = LIMITS) -> int:
    """Bytes of a whole slide's file; raises as `file_size`."""
    return file_size(path, replace(limits, max_bytes=limits.max_slide_bytes))


def total_size(paths: Iterable[Path], limits: Limits = LIMITS) -> int:
    """Bytes of all files of one scan; LimitError when there are too many files or bytes."""
    total = 0
    for count, path in enumerate(paths, start=1):
        if count > limits.max_files:
            raise LimitError(f"The scan has more than {limits.max_files} files; give the files of one series.")
        total += file_size(path, limits)
    if total > limits.max_bytes:
        raise LimitError(f"The scan's files hold {total} bytes, more than the {limits.max_bytes} allowed; give fewer.")
    return total


def shape(dimensions: Iterable[int], name: str, limits: Limits = LIMITS) -> tuple[int, ...]:
    """The dimensions that a header claims, refused before allocation when one is < 1 or they ask for too much."""
    sides = tuple(int(d) for d in dimensions)
    if any(d < 1 for d in sides):
        raise ScanError(f"'{name}' claims the size {_times(sides)}, which holds no pixels; the header is damaged.")
    if max(sides, default=1) > limits.max_side or prod(sides) > limits.max_voxels:
        raise LimitError(
            f"'{name}' claims the size {_times(sides)}, more than {limits.max_voxels} values or {limits.max_side} "
            "along one side; crop or resample it first."
        )
    return sides


def picture(width: int, height: int, pages: int, name: str, limits: Limits = LIMITS) -> None:
    """Refuse a picture whose header claims too many pixels or pages."""
    if width * height > limits.max_pixels:
        raise LimitError(
            f"'{name}' claims {width}x{height} pixels, more than the {limits.max_pixels} allowed; crop or shrink it."
        )
    if pages > limits.max_files:
        raise LimitError(f"'{name}' claims {pages} pages, more than the {limits.max_files} allowed; split it.")
    shape((pages, height, width), name, limits)


def growth(packed: int, unpacked: int, name: str, limits: Limits = LIMITS) -> None:
    """Refuse compressed data that grow as only a bomb does, before any of them is inflated."""
    if unpacked > limits.free_growth and unpacked > limits.max_growth * packed:
        raise LimitError(
            f"'{name}' would inflate {packed} bytes to {unpacked}, more than {limits.max_growth} times as many; "
            "if it really is one value repeated, store it uncompressed."
        )


def inflate(stream: BinaryIO, cap: int, wbits: int = 31, spare: list[int] | None = None) -> Iterator[bytes]:
    """Inflated blocks of a gzip (31) or raw deflate (-15) stream, never more than `cap` bytes in all.

    Stops quietly at the cap: the caller knows how much the header promised. A cap that is never reached has the
    stream's own checksum compared (RFC 1952, 2.3.1). Raises ScanError for a damaged stream and one that is cut short.

    spare: gets the number of bytes seen behind the end of what is compressed, where there are any but the one of zero
    that makes a length even (PS3.5, A.5).
    """
    left, empty, before = cap, 0, cap  # before: what was left when the member began
    decoder = zlib.decompressobj(wbits)
    pending = b""
    while left > 0:
        pending = pending or stream.read(_PACKED)
        spent = not pending  # the decoder may still hold output of what it was given before
        try:
            block = decoder.decompress(pending, min(left, _BLOCK))
        except zlib.error as error:
            raise ScanError(f"The compressed data are damaged ({reason(error)}); copy the file again.") from error
        if spent and not block and not decoder.eof:
            raise ScanError("The compressed data end before their own end mark; copy the file again.")
        left -= len(block)
        if block:
            yield block
        pending = decoder.unconsumed_tail
        if decoder.eof:
            empty, before = empty + (left == before), left
            if empty > _MOST_EMPTY:
                raise ScanError("The compressed data are thousands of empty pieces; copy the file again.")
            rest = decoder.unused_data or stream.read(_PACKED)
            if wbits != 31 or not rest.startswith(b"\x1f\x8b"):
                if spare is not None and rest and (wbits == 31 or rest != b"\0"):
                    spare.append(len(rest))
                return
            pending, decoder = rest, zlib.decompressobj(wbits)


def zip_directory(path: Path, limits: Limits = LIMITS) -> None:
    """Refuse a zip file with more members than one scan has files, by its end records and by its directory itself.

    Python reads the whole directory of a zip when it opens one (APPNOTE 4.3.16, 4.4.21). Raises ScanError where there
    is no end record.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(size - _ZIP_TAIL, 0))
        tail = stream.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        raise ScanError(
            f"'{path.name}' is a zip file without the directory at its end; it is cut short, copy it again."
        )
    if len(tail) > place + 22 + int.from_bytes(tail[place + 20 : place + 22], "little"):
        raise ScanError(f"'{path.name}' is a zip file that goes on behind its own end; copy it again or pack it anew.")
    claims = [(int.from_bytes(tail[place + 10 : place + 12], "little"), tail[place + 12 : place + 16])]
    end = max(size - _ZIP_TAIL, 0) + place
    with path.open("rb") as stream:
        claims += _zip64_claims(stream, end)
        start = int.from_bytes(tail[place + 16 : place + 20], "little")
        if len(claims) == 1 and start + int.from_bytes(claims[0][1], "little") != end:
            raise ScanError(f"'{path.name}' is a zip file with other bytes before it or in it; copy it again.")
        for count, length in ((count, int.from_bytes(raw, "little")) for count, raw in claims):
            if count <= limits.max_files and length <= 1024 * limits.max_files:
                stream.seek(max(end - _ZIP64 - length, 0))
                count = stream.read(min(end, length + _ZIP64)).count(b"PK\x01\x02")  # Python goes by what is there
            if count > limits.max_files or length > 1024 * limits.max_files:
                raise LimitError(
                    f"'{path.name}' claims {count} members, more than the {limits.max_files} allowed; split it."
                )


def zip_member(info: zipfile.ZipInfo, name: str) -> None:
    """Refuse a member that is neither stored nor deflated: Python inflates the other methods without any bound."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ScanError(
            f"'{name}' is packed by another method than deflate (bzip2, LZMA or a rarer one), which is not opened; "
            "pack it as an ordinary zip file."
        )


def _zip64_claims(stream: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Members and length of the directory by the record that counts in 64 bits (4.3.14), which Python believes.

    It stands right before its locator (4.3.15), or where that one says. end: where the ordinary end record begins.
    """
    stream.seek(max(end - 20, 0))
    locator = stream.read(20)
    if len(locator) < 20 or not locator.startswith(b"PK\x06\x07"):
        return
    for place in (end - _ZIP64, int.from_bytes(locator[8:16], "little")):
        if 0 <= place < end:
            stream.seek(place)
            record = stream.read(56)
            if len(record) == 56 and record.startswith(b"PK\x06\x06"):
                yield int.from_bytes(record[32:40], "little"), record[40:48]


def reason(error: BaseException) -> str:
    """What a library said, on one line and short enough for one sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else text[:157] + "..."


def _times(sides: tuple[int, ...]) -> str:
    return "x".join(str(d) for d in sides)
