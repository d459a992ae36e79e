from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from insula.core.errors import LimitError, ScanError
from insula.scans.read import read

nib: Any = nibabel  # its functions carry no types
BUNDLED = Path(nibabel.__file__).parent / "tests" / "data"


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] | None = None, descrip: str = "") -> Path:
    image = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    image.header["descrip"] = descrip
    nib.save(image, path)
    return path


@pytest.mark.parametrize("name", ["anatomical.nii", "standard.nii.gz", "reoriented_anat_moved.nii"])
def test_agrees_with_nibabel_voxel_by_voxel_in_the_patient(name: str) -> None:
    volume = read(BUNDLED / name)
    image = nib.load(BUNDLED / name)
    data = image.get_fdata()
    rng = np.random.default_rng(0)
    for _ in range(25):
        x, y, z = (int(rng.integers(n)) for n in volume.array.shape[:0:-1])
        lps = volume.affine @ (x, y, z, 1)
        i, j, k = np.rint(np.linalg.solve(image.affine, lps * (-1, -1, 1, 1)))[:3].astype(int)
        assert volume.array[0, z, y, x] == pytest.approx(data[i, j, k], rel=1e-6)


def test_an_upright_file_comes_out_turned_in_plane_only(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # RAS: x to the right's opposite, y forward
    volume = read(save(tmp_path / "a.nii", array))
    assert volume.array.shape == (1, 4, 3, 2)
    assert (volume.array[0] == array[::-1, ::-1].T).all()
    assert (np.diag(volume.affine) == 1).all()


def test_channels_and_nifti_2() -> None:
    assert read(BUNDLED / "functional.nii").array.shape == (20, 3, 21, 17)
    assert read(BUNDLED / "example_nifti2.nii.gz").array.shape == (2, 12, 20, 32)


def test_units_are_hu_only_when_the_file_says_so(tmp_path: Path) -> None:
    array = np.full((2, 2, 2), 40, np.int16)
    assert read(save(tmp_path / "a.nii", array)).units == "a.u."
    assert read(save(tmp_path / "b.nii", array, descrip="CT, units HU")).units == "HU"
    path = save(tmp_path / "c.nii.gz", array)
    (tmp_path / "c.json").write_text(json.dumps({"Modality": "CT", "Units": "Hounsfield"}))
    assert (read(path).units, read(path).modality) == ("HU", "CT")


def test_scale_factors_and_missing_numbers(tmp_path: Path) -> None:
    array = np.array([[[1.5, np.nan]]], np.float32)
    volume = read(save(tmp_path / "a.nii", array))
    assert sorted(volume.array.ravel().tolist()) == [0.0, 1.5]
    assert "values that are no numbers set to 0" in volume.warnings


def test_colours(tmp_path: Path) -> None:
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    array = np.zeros((2, 2, 1), kind)
    array["G"] = 200
    volume = read(save(tmp_path / "a.nii", array))
    assert (volume.units, volume.array.shape) == ("RGB", (3, 1, 2, 2))
    assert volume.array[:, 0, 0, 0].tolist() == [0.0, 200.0, 0.0]


def test_gzip_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_dtype(np.uint8)
    header.set_data_shape((2000, 2000, 500))
    header["magic"] = b"n+1"
    header["vox_offset"] = 352
    path = tmp_path / "bomb.nii.gz"
    path.write_bytes(gzip.compress(header.binaryblock + bytes(4 + (8 << 20))))
    with pytest.raises(LimitError, match="2000x2000x500"):
        read(path)


def test_bytes_beyond_the_promise_are_never_inflated(tmp_path: Path) -> None:
    plain = save(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8)).read_bytes()
    path = tmp_path / "b.nii.gz"
    path.write_bytes(gzip.compress(plain) + b"rubbish after the end, which a reader of everything would trip over")
    assert (read(path).array == 1).all()


def test_cut_short(tmp_path: Path) -> None:
    raw = save(tmp_path / "a.nii", np.ones((8, 8, 8), np.float32)).read_bytes()
    (tmp_path / "b.nii").write_bytes(raw[:-100])
    with pytest.raises(ScanError, match="cut short"):
        read(tmp_path / "b.nii")
    (tmp_path / "c.nii.gz").write_bytes(gzip.compress(raw)[:-40])
    with pytest.raises(ScanError):
        read(tmp_path / "c.nii.gz")


def test_an_affine_that_says_nothing_is_reported(tmp_path: Path) -> None:
    raw = bytearray(save(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8)).read_bytes())
    raw[252:256] = bytes(4)  # qform_code, sform_code
    (tmp_path / "b.nii").write_bytes(bytes(raw))
    assert any("no orientation" in w for w in read(tmp_path / "b.nii").warnings)
