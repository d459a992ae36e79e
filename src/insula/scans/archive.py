"""Packed scans: zip files and gzipped DICOM files, checked before anything is unpacked."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from insula.core import scratch
from insula.core.errors import InsulaError, LimitError, ScanError
from insula.core.types import Volume
from insula.scans import limits
from insula.scans.limits import LIMITS, Limits

ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"
_EMPTY_ZIP, _SPANNED_ZIP = b"PK\x05\x06", b"PK\x07\x08"
_TAR = 257, b"ustar"
_OTHERS = {
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ\0": "an xz file",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
}
_PACKED = (ZIP, GZIP, *_OTHERS)
_BLOCK = 1 << 20
_HEAD = 132  # a preamble and the letters behind it
_MOST_PEEKED = 200
_LONGEST = 200  # characters of one part of a member's name


def read(path: Path, allowed: Limits = LIMITS, series: str | None = None) -> Volume:
    """The one scan in a zip file, or a gzipped DICOM file, as a Volume; `series` picks one of several.

    The members are unpacked into a folder that is removed afterwards. Raises ScanError for members that are no files
    within the archive, LimitError for more members or bytes than one scan may have, else as `read.read`.
    """
    from dataclasses import replace

    from insula.scans import read as scans  # reads folders, and knows this module by name

    with unpacked(path, allowed) as folder:
        return replace(scans.read(folder, allowed, series=series), source=str(path))


def holds_dicom(path: Path, allowed: Limits = LIMITS) -> bool:
    """Whether one of the first members of a zip file, or the content of a gzip file, begins as a DICOM file."""
    try:
        with path.open("rb") as stream:
            if stream.read(4) != ZIP:
                stream.seek(0)
                return _begins(b"".join(limits.inflate(stream, _HEAD)))
        limits.zip_directory(path, allowed)
        with zipfile.ZipFile(path) as packed:
            for info in packed.infolist()[:_MOST_PEEKED]:
                if info.file_size >= _HEAD and not info.flag_bits & 0x1:
                    limits.zip_member(info, path.name)
                    with packed.open(info) as member:
                        if _begins(member.read(_HEAD)):
                            return True
    except LimitError:
        raise
    except Exception:  # noqa: BLE001  broad: zipfile, zlib, bz2 and lzma all raise on damaged archives
        return False
    return False


def why_not(path: Path, start: bytes, allowed: Limits = LIMITS) -> str:
    """Why a packed file is no scan, and the next step, in one sentence; "" for a file that is not packed.

    start: its first bytes, at least 262 where it has as many.
    """
    if start.startswith((ZIP, _EMPTY_ZIP, _SPANNED_ZIP)):
        try:
            return _why_no_zip(path, allowed)
        except ScanError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001  broad: as in `unpacked`
            return f"'{path.name}' is a damaged zip file ({limits.reason(error)}); copy it again or pack it anew."
    if start.startswith(GZIP):
        return f"'{path.name}' is gzip-compressed and holds neither NIfTI nor DICOM; unpack it and give its files."
    kind = next((name for magic, name in _OTHERS.items() if start.startswith(magic)), "")
    kind = kind or ("a tar archive" if start[_TAR[0] :].startswith(_TAR[1]) else "")
    return f"'{path.name}' is {kind}, which is not opened; unpack it and give its files." if kind else ""


def _why_no_zip(path: Path, allowed: Limits) -> str:
    """What stands against a zip file in which no DICOM file was found; ScanError and others as `unpacked`."""
    limits.zip_directory(path, allowed)
    with zipfile.ZipFile(path) as packed:
        members = [info for info in packed.infolist() if not info.is_dir()]
        targets = [(info, _target(info, path.name)) for info in members]
        shown = [info for info, target in targets if target is not None]
        if not shown:
            return f"'{path.name}' is a zip file without any file in it; pack the files of one series."
        for info in shown[:_MOST_PEEKED]:
            with packed.open(info) as member:
                if member.read(_HEAD).startswith(_PACKED):
                    return _nested(path.name)
    return (
        f"'{path.name}' is a zip file without a DICOM file; zip files are read for the DICOM files of one series: "
        "unpack it and give its files."
    )


def _nested(name: str) -> str:
    return f"'{name}' holds another archive, and only one level is opened; unpack it and give the inner one."


def _begins(start: bytes) -> bool:
    return start[128:132] == b"DICM"


@contextmanager
def unpacked(path: Path, allowed: Limits = LIMITS) -> Iterator[Path]:
    """A temporary folder with the members of an archive, named as the archive is; raises as `read`."""
    limits.file_size(path, allowed)
    with scratch.folder() as place:
        folder = place / (_printable(path.stem) or "archive")
        folder.mkdir()
        with path.open("rb") as stream:
            zipped = stream.read(4) == ZIP
        try:
            if zipped:
                _unzip(path, folder, allowed)
            else:
                _gunzip(path, folder, allowed)
        except InsulaError:
            raise
        except Exception as error:  # broad: zipfile, zlib, bz2 and lzma all raise on damaged archives
            raise ScanError(f"'{path.name}' is a damaged archive ({limits.reason(error)}); pack it again.") from error
        yield folder


def _unzip(path: Path, folder: Path, allowed: Limits) -> None:
    limits.zip_directory(path, allowed)
    with zipfile.ZipFile(path) as archive:
        members = [(info, _target(info, path.name)) for info in archive.infolist() if not info.is_dir()]
        members = [(info, target) for info, target in members if target is not None]
        if len(members) > allowed.max_files:
            raise LimitError(f"'{path.name}' holds {len(members)} members, more than the {allowed.max_files} allowed.")
        total = sum(info.file_size for info, _ in members)
        if total > allowed.max_bytes:
            raise LimitError(
                f"'{path.name}' unpacks to {total} bytes, more than the {allowed.max_bytes} allowed; pack one series."
            )
        limits.growth(path.stat().st_size, total, path.name, allowed)
        for info, target in members:
            if target is not None:
                _extract(archive, info, folder / target, path.name)


def _target(info: zipfile.ZipInfo, name: str) -> PurePosixPath | None:
    """Where a member goes, relative to the folder; None for a hidden one. ScanError for one that leads elsewhere."""
    raw = info.orig_filename
    parts = raw.replace("\\", "/").split("/")
    if raw.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\0" in raw:
        raise ScanError(
            f"'{name}' holds a member whose name leads out of the archive and is refused whole; pack it again, from "
            "within the folder of the scan."
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise ScanError(
            f"'{name}' holds a link or a device instead of a file and is refused whole; pack the files themselves."
        )
    if info.flag_bits & 0x1:
        raise ScanError(f"'{name}' is encrypted; unpack it with its password and give its files.")
    limits.zip_member(info, name)
    kept = [_printable(part) for part in parts if part not in ("", ".")]
    if not kept or any(part.startswith(".") or part == "__MACOSX" or not part for part in kept):
        return None
    return PurePosixPath(*kept)


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, name: str) -> None:
    """Unpack one member, never more than its entry says, and never over another one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    left = info.file_size
    try:
        with archive.open(info) as packed, target.open("xb") as out:
            while block := packed.read(_BLOCK):
                if out.tell() == 0 and block.startswith(_PACKED):
                    raise ScanError(_nested(name))
                left -= len(block)
                if left < 0:
                    raise LimitError(f"'{name}' unpacks to more than its entries say; it is refused whole.")
                out.write(block)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ScanError(f"'{name}' holds two members of one name; pack it again.") from error


def _gunzip(path: Path, folder: Path, allowed: Limits) -> None:
    """A single gzipped file; the cap is half the limit, as both copies are held at once."""
    cap = allowed.max_bytes // 2
    total = 0
    with path.open("rb") as stream, (folder / (_printable(path.stem) or "file")).open("xb") as out:
        spare: list[int] = []
        for block in limits.inflate(stream, cap + 1, spare=spare):
            if total == 0 and block.startswith(_PACKED):
                raise ScanError(_nested(path.name))
            total += len(block)
            limits.growth(path.stat().st_size, total, path.name, allowed)
            if total > cap:
                raise LimitError(f"'{path.name}' inflates to more than {cap} bytes; unpack it and give a smaller file.")
            out.write(block)
        if spare:
            raise ScanError(f"'{path.name}' goes on behind the end of what is compressed; copy it again.")


def _printable(part: str) -> str:
    return "".join(c for c in part if c.isprintable() and c not in "/\\")[:_LONGEST]
