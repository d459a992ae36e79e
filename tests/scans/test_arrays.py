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


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i8", "<f2", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_number_type_byte_order_and_memory_order(tmp_path: Path, dtype: str, order: str) -> None:
    array = np.asarray(np.random.default_rng(1).integers(0, 2 if dtype == "?" else 100, (3, 5, 4)).astype(dtype))
    array = np.asfortranarray(array) if order == "F" else np.ascontiguousarray(array)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "b.npz", array=array)
    for name in ("a.npy", "b.npz"):
        volume = read(tmp_path / name)
        assert volume.array.dtype == np.float32
        np.testing.assert_array_equal(volume.array[0], array.astype(np.float32))


def test_numbers_beyond_single_precision_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[1e300, 2.0], [np.nan, 4.0]]))
    volume = read(tmp_path / "a.npy")
    assert volume.array.ravel().tolist() == [0.0, 2.0, 0.0, 4.0]
    assert volume.warnings == ("values that are no numbers set to 0",)


def test_a_file_longer_than_its_promise_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((9, 9)))
    (tmp_path / "b.npy").write_bytes((tmp_path / "a.npy").read_bytes() + b"more")
    with pytest.raises(ScanError, match="have to be equal"):
        read(tmp_path / "b.npy")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros((3, 3)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("array.npy", stream.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("array.npy", stream.getvalue())
    with pytest.raises(ScanError, match="two arrays of one name"):
        read(tmp_path / "a.npz")


def test_a_flipped_bit_in_an_archive_is_found_by_its_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", array=np.random.default_rng(0).random((20, 20)))
    raw = bytearray((tmp_path / "a.npz").read_bytes())
    raw[1500] ^= 1
    (tmp_path / "b.npz").write_bytes(raw)
    with pytest.raises(ScanError, match="CRC"):
        read(tmp_path / "b.npz")
