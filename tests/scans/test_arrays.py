from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from insula.core.errors import LimitError, ScanError
from insula.scans.read import read


@pytest.mark.parametrize(
    ("shape", "expected"), [((3, 4), (1, 1, 3, 4)), ((2, 3, 4), (1, 2, 3, 4)), ((3, 2, 3, 4), (3, 2, 3, 4))]
)
def test_shapes(tmp_path: Path, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.save(tmp_path / "a.npy", np.asfortranarray(array))
    volume = read(tmp_path / "a.npy")
    assert volume.array.shape == expected
    assert (volume.array.ravel() == array.ravel()).all()
    assert volume.full_scale == 255.0


def test_archive_with_affine_and_units(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    np.savez_compressed(tmp_path / "a.npz", array=array, affine=np.diag([-1.0, 1.0, 2.0, 1.0]), units="HU")
    volume = read(tmp_path / "a.npz")
    assert (volume.array[0] == array[..., ::-1]).all()
    assert volume.spacing == (1.0, 1.0, 2.0)
    assert volume.units == "HU"


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(ScanError, match="pickled"):
        read(tmp_path / "a.npy")


def test_a_header_that_promises_too_much(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (30000, 30000, 100)})
    (tmp_path / "a.npy").write_bytes(stream.getvalue() + bytes(100))
    with pytest.raises(LimitError):
        read(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("array.npy", stream.getvalue() + bytes(1 << 20))
    with pytest.raises(LimitError):
        read(tmp_path / "b.npz")


def test_cut_short_and_wrong_dimensions(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 9)))
    raw = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "b.npy").write_bytes(raw[:-8])
    with pytest.raises(ScanError, match="cut short"):
        read(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.zeros(9))
    with pytest.raises(ScanError, match="1 dimensions"):
        read(tmp_path / "c.npy")
