"""Our own readers of files, with the libraries below them as far as they are Python: typed errors and nothing else."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path

import numpy as np
from pydicom.dataelem import RawDataElement
from tests.faults.guided.target import Target, on_disk
from tests.scans.mutations import DICOM, sound_files

from insula.cohort.deidentify import jpeg
from insula.core.errors import InsulaError, ScanError
from insula.core.types import Volume
from insula.scans import (
    archive,
    arrays,
    behind,
    codestream,
    elements,
    header,
    limits,
    nifti,
    preamble,
    read,
    tiff_header,
)
from insula.scans.limits import Limits

_SOUND = sound_files()
_SMALL = Limits(max_bytes=1 << 22, max_voxels=1 << 18, max_files=50)


def _of(*kinds: str) -> tuple[bytes, ...]:
    return tuple(data for kind, data in _SOUND if kind in kinds)


def _header(data: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = header.load(Path("x"), _SMALL, data=data)
        found = header.facts(dataset, Path("x"))
    assert found.aside or (found.rows > 0 and found.columns > 0)
    assert all(text.isprintable() for text in found.attributes.values())


def _fast_as_slow(data: bytes) -> None:
    """What is read without pydicom's parser says what is read with it."""
    quick = elements.parse(io.BytesIO(data), "x", "now", lambda packed: b"")
    if quick is None or header.is_deflated(quick):
        return
    slow = header._forgiven(io.BytesIO(data), "x", True, _SMALL, [])
    both = [(quick.get_item(tag), slow.get_item(tag)) for tag in quick.keys() & slow.keys()]
    assert quick.keys() == slow.keys()
    raw = [pair for pair in both if all(isinstance(one, RawDataElement) for one in pair)]
    assert all(one.value == other.value for one, other in raw)


def _volume(found: Volume) -> None:
    assert found.array.dtype == np.float32
    assert np.isfinite(found.array).all()
    assert np.isfinite(found.affine).all()


def _tiff(path: Path) -> None:
    tiff_header.is_slide(path, 1 << 20)
    tiff_header.pages(path, 100)


def _packed(path: Path) -> None:
    archive.holds_dicom(path, _SMALL)
    assert isinstance(archive.why_not(path, path.read_bytes()[:540], _SMALL), str)
    with archive.unpacked(path, _SMALL) as folder:
        assert all(folder in found.parents for found in read.files_below(folder, _SMALL))


def _inflated(data: bytes) -> None:
    spare: list[int] = []
    assert sum(map(len, limits.inflate(io.BytesIO(data), 1 << 16, spare=spare))) <= 1 << 16


def _claimed(data: bytes) -> None:
    found = codestream.claim(data)
    assert found is None or min(found.samples, found.bits) >= 0
    codestream.rle(data, 2)


def _stripped(data: bytes) -> None:
    clean = jpeg.strip(data)
    assert jpeg.strip(clean) == clean, "there was something left to be cleaned"


def _ends(path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        assert behind.picture(path, kind) in ((), (behind.LONGER,))


_DICOM = tuple((DICOM / name).read_bytes() for name in ("MR_small_RLE.dcm", "SC_rgb_jpeg_dcmtk.dcm", "JPGExtended.dcm"))
_FRAMES = tuple(data[data.find(b"\xff\xd8") :] for data in _DICOM if b"\xff\xd8" in data) + _of("jpeg")
_J2K = (DICOM / "MR_small_jp2klossless.dcm").read_bytes()
TARGETS = {
    "DICOM header": Target(_header, _DICOM, (InsulaError,)),
    "DICOM elements, two ways": Target(_fast_as_slow, _DICOM, (InsulaError,)),
    "NIfTI": Target(
        on_disk(lambda path: _volume(nifti.read(path, _SMALL))),
        (_of("nifti")[0][:4000], gzip.compress(_of("nifti")[0])),
        (InsulaError,),
        cost=10,
    ),
    "NumPy arrays": Target(
        on_disk(lambda path: _volume(arrays.read(path, _SMALL))), _of("npy", "npz"), (InsulaError,), cost=10
    ),
    "kind of a file": Target(on_disk(read.sniff), _of("tiff", "zip", "npz", "nifti"), (InsulaError,), cost=10),
    "TIFF directories": Target(on_disk(_tiff), _of("tiff"), (InsulaError,), cost=10),
    "packed files": Target(on_disk(_packed), _of("zip", "npz"), (InsulaError,), cost=10),
    "deflate": Target(_inflated, (gzip.compress(b"a" * 500), gzip.compress(b"") + gzip.compress(b"b")), (ScanError,)),
    "compressed frames": Target(_claimed, (*_FRAMES, _J2K[_J2K.find(b"\xff\x4f\xff\x51") :])),
    "JPEG that is cleaned": Target(_stripped, _FRAMES, (ScanError,)),
    "end of a picture": Target(on_disk(_ends), _of("png", "jpeg"), cost=10),
    "preamble": Target(lambda data: preamble.note(data[:132]), (bytes(128) + b"DICM",)),
}
