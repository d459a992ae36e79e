"""Small files that ask for gigabytes, endless loops or a deep stack, and files that lie; each made here in bytes."""

from __future__ import annotations

import gzip
import io
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from tests.scans.made_dicom import dataset

MB = 1 << 20


def deflated(start: bytes, megabytes: int) -> bytes:
    """Raw deflate of some bytes and that many megabytes of zeros, put together from one packed megabyte."""
    packer = zlib.compressobj(9, wbits=-15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(MB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * megabytes + packer.flush(zlib.Z_FINISH)


def gzipped(start: bytes, megabytes: int) -> bytes:
    return b"\x1f\x8b\x08" + bytes(7) + deflated(start, megabytes) + bytes(8)


def zipped(name: bytes, start: bytes, megabytes: int, claimed: int | None = None) -> bytes:
    """A zip of one member (APPNOTE 4.3); claimed: the length that it says to have, when that is not the truth."""
    body, size = deflated(start, megabytes), len(start) + megabytes * MB if claimed is None else claimed
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(body), size, len(name), 0)
    local = b"PK\x03\x04" + facts + name
    listed = b"PK\x01\x02" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(local) + len(body), 0)
    return local + body + listed + end


def array_header(sides: tuple[int, ...]) -> bytes:
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f8", "fortran_order": False, "shape": sides})
    return head.getvalue()


def nifti_header(sides: tuple[int, ...], code: int, bits: int) -> bytes:
    """NIfTI-1 by its own definition (nifti1.h), so that no library has to agree with it."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, len(sides), *sides, *(1,) * (7 - len(sides)))
    struct.pack_into("<hh", head, 70, code, bits)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", head, 108, 352.0)
    struct.pack_into("<hh", head, 252, 1, 0)
    head[344:348] = b"n+1\0"
    return bytes(head)


def nifti_2_gb(path: Path) -> None:
    path.write_bytes(gzipped(nifti_header((1000, 1000, 500), 16, 32), 2000))


def nifti_1_gb_within_the_voxel_limit(path: Path) -> None:
    path.write_bytes(gzipped(nifti_header((512, 512, 512), 64, 64), 1024))


def nifti_of_seven_dimensions(path: Path) -> None:
    path.write_bytes(nifti_header((32767,) * 7, 2, 8) + bytes(100))


def nifti_within_gzip_within_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.compress(nifti_header((9, 9, 9), 2, 8) + bytes(729))))


def npz_1_gb(path: Path) -> None:
    path.write_bytes(zipped(b"array.npy", array_header((128, 1024, 1024)), 1024))


def npz_that_hides_its_size(path: Path) -> None:
    """The directory says 4,096 bytes, the array's header 1 GB."""
    path.write_bytes(zipped(b"array.npy", array_header((128, 1024, 1024)), 1024, 4096))


def npy_of_many_terabytes(path: Path) -> None:
    path.write_bytes(array_header((40000, 40000, 40000)) + bytes(64))


def npy_of_deep_brackets(path: Path) -> None:
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': " + b"(" * 30_000 + b"\n"
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(text)) + text)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_169_megapixels(path: Path) -> None:
    path.write_bytes(png(13_000, 13_000, zlib.compress(bytes((13_000 // 8 + 1) * 13_000), 9)))


def png_text_bomb(path: Path) -> None:
    packed = b"\x78\xda" + deflated(b"", 512) + bytes(4)
    path.write_bytes(png(8, 8, zlib.compress(bytes(16)), chunk(b"zTXt", b"Comment\0\0" + packed)))


def jpeg_4_gigapixels(path: Path) -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 65_500, 65_500, 1) + b"\x01\x11\x00"
    path.write_bytes(b"\xff\xd8" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(64) + b"\xff\xd9")


def tiff(*entries: tuple[int, int, int, int], following: int = 0, places: int = 1) -> bytes:
    """One directory (or `places` empty ones in a chain) of (tag, type, count, value)."""
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return head + b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", following)


GREY = ((256, 4, 1, 64), (257, 4, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1))


def tiff_whose_pages_run_in_a_circle(path: Path) -> None:
    path.write_bytes(tiff(*GREY, (273, 4, 1, 200), (278, 4, 1, 64), (279, 4, 1, 4096), following=8) + bytes(5000))


def tiff_of_a_billion_strips(path: Path) -> None:
    path.write_bytes(tiff(*GREY, (273, 4, 1 << 30, 200), (278, 4, 1, 1), (279, 4, 1 << 30, 200)) + bytes(5000))


def tiff_of_a_strip_beyond_the_file(path: Path) -> None:
    path.write_bytes(tiff(*GREY, (273, 4, 1, 0xFFFFFFF0), (278, 4, 1, 64), (279, 4, 1, 0xFFFFFFFF)))


def tiff_of_100_000_pages(path: Path) -> None:
    length = len(tiff(*GREY)) - 8
    pages = b"".join(tiff(*GREY, following=8 + length * (i + 1))[8:] for i in range(100_000))
    path.write_bytes(b"II*\0" + struct.pack("<I", 8) + pages + bytes(4))


def tiff_16_gigapixels(path: Path) -> None:
    sides = ((256, 4, 1, 130_000), (257, 4, 1, 130_000), *GREY[2:])
    path.write_bytes(tiff(*sides, (273, 4, 1, 200), (278, 4, 1, 130_000), (279, 4, 1, 100)) + bytes(200))


def saved(path: Path, made: Dataset) -> None:
    made.save_as(path, enforce_file_format=True)


def small(**fields: Any) -> Dataset:
    return dataset(np.zeros((4, 4), np.int16), **fields)


def dicom_deflated_512_mb(path: Path) -> None:
    made = small(Rows=16384, Columns=16384)
    made.PixelData = b""
    saved(path, made)
    plain = path.read_bytes()
    length = struct.unpack("<I", plain[140:144])[0]
    group = bytearray(plain[144 : 144 + length])
    old = group.index(b"\x02\x00\x10\x00UI")
    size = struct.unpack("<H", group[old + 6 : old + 8])[0]
    uid = DeflatedExplicitVRLittleEndian.encode() + b"\0" * (len(DeflatedExplicitVRLittleEndian) % 2)
    group[old : old + 8 + size] = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid
    body = plain[144 + length :]
    body = body[: body.index(b"\xe0\x7f\x10\x00")] + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", 512 * MB)
    head = plain[:132] + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(group)) + bytes(group)
    path.write_bytes(head + deflated(body, 512))


def compressed(syntax: str, frame: bytes, **fields: Any) -> Dataset:
    made = small(**fields)
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    return made


RLE_FRAME = struct.pack("<16I", 2, 64, 66, *(0,) * 13) + b"\x81\x00\x81\x00"


def dicom_rle_8_gib(path: Path) -> None:
    saved(path, compressed(RLELossless, RLE_FRAME, Rows=65535, Columns=65535))


def dicom_rle_within_the_voxel_limit(path: Path) -> None:
    saved(path, compressed(RLELossless, RLE_FRAME, Rows=16000, Columns=16000))


def dicom_jpeg_2000_of_another_size(path: Path) -> None:
    size = struct.pack(">HHIIIIIIIIH", 41, 0, 60_000, 60_000, 0, 0, 60_000, 60_000, 0, 0, 1) + b"\x0f\x01\x01"
    saved(path, compressed(JPEG2000Lossless, b"\xff\x4f\xff\x51" + size + bytes(60)))


def dicom_a_billion_frames(path: Path) -> None:
    saved(path, small(NumberOfFrames=1_000_000_000))


def dicom_nested(path: Path, depth: int) -> None:
    saved(path, small())
    plain = path.read_bytes()
    place = plain.index(b"\xe0\x7f\x10\x00")
    begin = b"\x11\x00\x00\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    owner = b"\x11\x00\x10\x00LO\x06\x00NESTED"
    path.write_bytes(plain[:place] + owner + begin * depth + end * depth + plain[place:])


def dicom_nested_known(path: Path) -> None:
    inner = Dataset()
    inner.PatientID = "deep"
    for _ in range(200):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    made = small()
    made.ReferencedImageSequence = Sequence([inner])
    saved(path, made)


def dicom_nested_200(path: Path) -> None:
    dicom_nested(path, 200)


def dicom_nested_20_000(path: Path) -> None:
    dicom_nested(path, 20_000)


def dicom_lying_length(path: Path) -> None:
    saved(path, small())
    raw = bytearray(path.read_bytes())
    place = raw.index(b"\xe0\x7f\x10\x00OW")
    struct.pack_into("<I", raw, place + 8, 0xFFFFFF00)
    path.write_bytes(raw)


def dicom_short_pixels(path: Path) -> None:
    saved(path, small(Rows=4000, Columns=4000))


def zip_of_zips(path: Path) -> None:
    inner = b"nothing"
    for _ in range(6):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(16):
                archive.writestr(f"{i}.zip", inner)
        inner = stream.getvalue()
    path.write_bytes(inner)


def zip_1_gb(path: Path) -> None:
    path.write_bytes(zipped(b"a.dcm", bytes(128) + b"DICM", 1024))


def zip_of_60_000_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(60_000):
            archive.writestr(f"{i}.npy", b"")


def task(request: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Task of the sandbox: read one file; what came of it, seconds (of the clock and of the processor), peak MB."""
    from insula.core.errors import InsulaError
    from insula.scans import read

    begun, worked, outcome = time.perf_counter(), time.process_time(), "read"
    try:
        volume = read.read(Path(request["path"]))
        outcome += "".join(f"; {note}" for note in volume.warnings)
    except InsulaError as error:
        outcome = f"{error.code}: {error}"
    seconds, worked = time.perf_counter() - begun, time.process_time() - worked
    # not ru_maxrss: that one remembers the parent's memory too
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
    return {"outcome": outcome, "seconds": seconds, "worked": worked, "peak": peak}, ()


Maker = Callable[[Path], None]
BOMBS: dict[str, tuple[str, Maker]] = {
    name: (f"{name}{suffix}", maker)
    for suffix, makers in {
        ".nii.gz": (nifti_2_gb, nifti_1_gb_within_the_voxel_limit, nifti_within_gzip_within_gzip),
        ".nii": (nifti_of_seven_dimensions,),
        ".npz": (npz_1_gb, npz_that_hides_its_size),
        ".npy": (npy_of_many_terabytes, npy_of_deep_brackets),
        ".png": (png_169_megapixels, png_text_bomb),
        ".jpg": (jpeg_4_gigapixels,),
        ".tif": (
            tiff_whose_pages_run_in_a_circle,
            tiff_of_a_billion_strips,
            tiff_of_a_strip_beyond_the_file,
            tiff_of_100_000_pages,
            tiff_16_gigapixels,
        ),
        ".dcm": (
            dicom_deflated_512_mb,
            dicom_rle_8_gib,
            dicom_rle_within_the_voxel_limit,
            dicom_jpeg_2000_of_another_size,
            dicom_a_billion_frames,
            dicom_nested_200,
            dicom_nested_known,
            dicom_nested_20_000,
            dicom_lying_length,
            dicom_short_pixels,
        ),
        ".zip": (zip_of_zips, zip_1_gb, zip_of_60_000_members),
    }.items()
    for maker in makers
    for name in (maker.__name__,)
}
