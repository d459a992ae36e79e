"""More small files that ask for much, beyond those of the reader's own tests; each made here in bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from tests.scans.made_bombs import (
    GREY,
    MB,
    array_header,
    chunk,
    deflated,
    gzipped,
    nifti_header,
    png,
    saved,
    small,
    tiff,
    zipped,
)

Maker = Callable[[Path], None]
_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"
_OWNER = b"\x11\x00\x10\x00LO\x06\x00NESTED"
_PIXELS = b"\xe0\x7f\x10\x00"


def zip_whose_second_end_counts(path: Path) -> None:
    """The ordinary end record says one member; the one in 64 bits, which Python believes, 120,000."""
    count = 120_000
    facts = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 33, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0)
    directory = (b"PK\x01\x02" + facts + b"aaaa") * count
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, 0, 0, 4, 0) + b"aaaa"
    end = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, len(directory), len(local))
    end += b"PK\x06\x07" + struct.pack("<IQI", 0, len(local) + len(directory), 1)
    end += b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, 50, len(local), 0)
    path.write_bytes(local + directory + end)


def zip_whose_directory_goes_on(path: Path) -> None:
    """One member by the count, 90,000 by the directory's length."""
    facts = struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    directory = (b"PK\x01\x02" + facts + b"a") * 90_000
    local = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, 0, 0, 0, 1, 0) + b"a"
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)


def packed(name: bytes, body: bytes, method: int, claimed: int) -> bytes:
    """A zip of one member packed by a method (APPNOTE 4.4.5), whatever length it claims."""
    facts = struct.pack("<HHHHHIIIHH", 63, 0, method, 0, 33, 0, len(body), claimed, len(name), 0)
    local = b"PK\x03\x04" + facts + name
    listed = b"PK\x01\x02" + struct.pack("<H", 63) + facts + struct.pack("<HHHII", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(listed), len(local) + len(body), 0)
    return local + body + listed + end


def zip_of_bzip2(path: Path) -> None:
    """A few hundred bytes that Python's zipfile inflates to 256 MB at once, whatever the entry claims."""
    path.write_bytes(packed(b"a.dcm", bz2.compress(bytes(128) + b"DICM" + bytes(256 * MB)), 12, 200))


def zip_of_lzma(path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 26}]
    body = lzma.compress(bytes(128) + b"DICM" + bytes(256 * MB), lzma.FORMAT_RAW, filters=filters)
    head = b"\x09\x04" + struct.pack("<H", 5) + b"\x5d" + struct.pack("<I", 1 << 26)
    path.write_bytes(packed(b"a.dcm", head + body, 14, 200))


def npz_of_bzip2(path: Path) -> None:
    path.write_bytes(packed(b"array.npy", bz2.compress(array_header((4, 4)) + bytes(256 * MB)), 12, 256))


def npz_of_a_long_header(path: Path) -> None:
    """NumPy reads a header whole before it finds it too long."""
    start = b"\x93NUMPY\x02\x00" + struct.pack("<I", 240 * MB)
    path.write_bytes(zipped(b"array.npy", start, 240))


def with_items(path: Path, items: bytes, undefined: bool) -> None:
    """A slice with a private sequence of these items before its pixels."""
    saved(path, small())
    plain = path.read_bytes()
    place = plain.index(_PIXELS)
    head = b"\x11\x00\x00\x10SQ\0\0" + (b"\xff\xff\xff\xff" if undefined else struct.pack("<I", len(items)))
    end = b"\xfe\xff\xdd\xe0\0\0\0\0" if undefined else b""
    path.write_bytes(plain[:place] + _OWNER + head + items + end + plain[place:])


def dicom_of_a_million_items(path: Path) -> None:
    with_items(path, _ITEM * 1_000_000, undefined=False)


def dicom_of_a_million_items_without_a_length(path: Path) -> None:
    with_items(path, _ITEM * 1_000_000, undefined=True)


def dicom_of_items_in_gzip(path: Path) -> None:
    with_items(path, _ITEM * 4_000_000, undefined=False)
    path.write_bytes(gzip.compress(path.read_bytes(), 6))


def dicom_of_items_deflated(path: Path) -> None:
    """Half a megabyte that inflates to 60 MB of items, which is within what a deflated file may have."""
    saved(path, small())
    plain = path.read_bytes()
    length = struct.unpack("<I", plain[140:144])[0]
    group, body = plain[144 : 144 + length], plain[144 + length :]
    old = group.index(b"\x02\x00\x10\x00UI")
    size = struct.unpack("<H", group[old + 6 : old + 8])[0]
    uid = b"1.2.840.10008.1.2.1.99"
    group = group[:old] + b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid + group[old + 8 + size :]
    items = _ITEM * 7_500_000
    inner = body[: body.index(_PIXELS)] + _OWNER + b"\x11\x00\x00\x10SQ\0\0" + struct.pack("<I", len(items)) + items
    packer = zlib.compressobj(9, wbits=-15)
    head = plain[:132] + b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", len(group)) + group
    path.write_bytes(head + packer.compress(inner + body[body.index(_PIXELS) :]) + packer.flush())


def gzip_of_100_000_empty_members(path: Path) -> None:
    path.write_bytes(gzip.compress(b"", mtime=0) * 100_000)


def nifti_whose_voxels_begin_nowhere(path: Path) -> None:
    head = bytearray(nifti_header((9, 9, 9), 2, 8))
    struct.pack_into("<f", head, 108, 3e38)
    path.write_bytes(bytes(head) + bytes(729))


def nifti_of_an_endless_extension(path: Path) -> None:
    head = bytearray(nifti_header((9, 9, 9), 2, 8))
    struct.pack_into("<f", head, 108, 2.0e9)
    head[348:352] = b"\1\0\0\0"
    path.write_bytes(gzipped(bytes(head) + struct.pack("<ii", 2_000_000_000 - 352, 6), 1900))


def png_of_a_colour_profile(path: Path) -> None:
    packed_profile = b"\x78\xda" + deflated(b"", 512) + bytes(4)
    path.write_bytes(png(8, 8, zlib.compress(bytes(16)), chunk(b"iCCP", b"x\0\0" + packed_profile)))


def png_of_an_international_text(path: Path) -> None:
    packed_text = b"\x78\xda" + deflated(b"", 512) + bytes(4)
    path.write_bytes(png(8, 8, zlib.compress(bytes(16)), chunk(b"iTXt", b"a\0\1\0\0\0" + packed_text)))


def png_whose_pixels_go_on(path: Path) -> None:
    """Eight rows, and 300 MB behind them in the same stream."""
    path.write_bytes(png(8, 8, b"\x78\xda" + deflated(bytes(16), 300) + bytes(4)))


def tiff_of_a_deflated_strip(path: Path) -> None:
    body = b"\x78\xda" + deflated(bytes(64), 512) + bytes(4)
    grey = (*GREY[:3], (259, 3, 1, 8), *GREY[4:])
    start = 8 + 2 + 12 * 9 + 4
    path.write_bytes(tiff(*grey, (273, 4, 1, start), (278, 4, 1, 64), (279, 4, 1, len(body))) + body)


def tiff_of_a_profile_beyond_the_file(path: Path) -> None:
    path.write_bytes(
        tiff(*GREY, (273, 4, 1, 300), (278, 4, 1, 64), (279, 4, 1, 4096), (34675, 7, 0xFFFFFFFF, 300)) + bytes(5000)
    )


MORE: dict[str, tuple[str, Maker]] = {
    maker.__name__: (f"{maker.__name__}{suffix}", maker)
    for suffix, makers in {
        ".zip": (zip_whose_second_end_counts, zip_whose_directory_goes_on, zip_of_bzip2, zip_of_lzma),
        ".npz": (npz_of_bzip2, npz_of_a_long_header),
        ".dcm": (
            dicom_of_a_million_items,
            dicom_of_a_million_items_without_a_length,
            dicom_of_items_deflated,
        ),
        ".gz": (dicom_of_items_in_gzip, gzip_of_100_000_empty_members),
        ".nii": (nifti_whose_voxels_begin_nowhere,),
        ".nii.gz": (nifti_of_an_endless_extension,),
        ".png": (png_of_a_colour_profile, png_of_an_international_text, png_whose_pixels_go_on),
        ".tif": (tiff_of_a_deflated_strip, tiff_of_a_profile_beyond_the_file),
    }.items()
    for maker in makers
}
