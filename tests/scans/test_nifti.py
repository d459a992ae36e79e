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
from insula.scans.nifti import shape
from insula.scans.read import read

nib: Any = nibabel  # its functions carry no types
BUNDLED = Path(nibabel.__file__).parent / "tests" / "data"


def save(path: Path, array: NDArray[Any], affine: NDArray[Any] | None = None, descrip: str = "") -> Path:
    image = nib.Nifti1Image(array, np.eye(4) if affine is None else affine)
    image.header["descrip"] = descrip
    nib.save(image, path)
    return path


def agrees(path: Path) -> None:
    """Values and places equal nibabel's own, turned to its canonical RAS and from there to LPS."""
    volume, image = read(path), nib.as_closest_canonical(nib.load(path))
    data = np.nan_to_num(image.get_fdata().astype(np.float32), nan=0.0)  # as the reader does, with a warning
    data = data.reshape(*data.shape[:3], -1)[::-1, ::-1]
    np.testing.assert_array_equal(volume.array, data.transpose(3, 2, 1, 0))
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    flip[:2, 3] = np.array(data.shape[:2]) - 1
    np.testing.assert_allclose(volume.affine, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine @ flip, atol=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "anatomical.nii",
        "standard.nii.gz",
        "reoriented_anat_moved.nii",
        "resampled_anat_moved.nii",
        "functional.nii",
        "example4d.nii.gz",
        "example_nifti2.nii.gz",
    ],
)
def test_agrees_with_nibabel_on_the_files_that_it_ships(name: str) -> None:
    agrees(BUNDLED / name)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", ">i2", ">f4"])
@pytest.mark.parametrize("scale", [(None, None), (0.37, -1024.0), (-2.5, 0.125)])
@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
def test_types_byte_orders_and_scale_factors(
    tmp_path: Path, dtype: str, scale: tuple[float | None, float | None], kind: str
) -> None:
    raw = np.random.default_rng(2).integers(0, 120, (5, 4, 3)).astype(dtype)
    header = getattr(nib, kind.replace("Image", "Header"))(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    image = getattr(nib, kind)(raw, np.diag([2.0, 1.5, 3.0, 1.0]), header)
    image.header.set_slope_inter(*scale)
    nib.save(image, tmp_path / "a.nii.gz")
    agrees(tmp_path / "a.nii.gz")
    stored = nib.load(tmp_path / "a.nii.gz")
    if scale[0] is not None:
        stored.header.set_slope_inter(*scale)
    assert read(tmp_path / "a.nii.gz").array.std() > 0


def turn(angles: tuple[float, float, float]) -> NDArray[np.float64]:
    x, y, z = np.radians(angles)
    around_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    around_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    around_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
    return np.array(around_x) @ np.array(around_y) @ np.array(around_z)


@pytest.mark.parametrize("angles", [(12.0, -7.0, 30.0), (95.0, 3.0, -10.0), (5.0, 170.0, 85.0)])
@pytest.mark.parametrize("code", ["qform", "sform"])
def test_oblique_planes(tmp_path: Path, angles: tuple[float, float, float], code: str) -> None:
    affine = np.eye(4)
    affine[:3, :3] = turn(angles) @ np.diag([0.5, 0.75, 3.0])
    affine[:3, 3] = (-20.0, 31.0, 7.5)
    raw = np.random.default_rng(3).integers(0, 999, (6, 5, 4)).astype(np.int16)
    image = nib.Nifti1Image(raw, None)
    getattr(image, f"set_{code}")(affine, 1)
    getattr(image, "set_qform" if code == "sform" else "set_sform")(None, 0)
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    stored = nib.load(tmp_path / "a.nii")
    data = stored.get_fdata()
    for z, y, x in np.ndindex(volume.array.shape[1:]):
        lps = volume.affine @ (x, y, z, 1)
        i, j, k = np.rint(np.linalg.solve(stored.affine, lps * (-1, -1, 1, 1)))[:3].astype(int)
        assert volume.array[0, z, y, x] == data[i, j, k]
    assert np.abs(np.diag(volume.affine)[:3]).min() > 0.2
    assert not volume.warnings


def test_a_file_longer_than_its_promise_says_so(tmp_path: Path) -> None:
    raw = save(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8)).read_bytes()
    (tmp_path / "b.nii").write_bytes(raw + b"more")
    assert any("more bytes than its header promises" in w for w in read(tmp_path / "b.nii").warnings)
    assert not read(tmp_path / "a.nii").warnings


def test_a_flipped_bit_in_a_gzip_file_is_found_by_its_checksum(tmp_path: Path) -> None:
    raw = save(tmp_path / "a.nii", np.random.default_rng(0).normal(0, 1, (9, 9, 9))).read_bytes()
    packed = bytearray(gzip.compress(raw, 0))  # stored, not deflated: every bit is a bit of a voxel
    packed[-3000] ^= 4
    (tmp_path / "b.nii.gz").write_bytes(packed)
    with pytest.raises(ScanError, match="damaged"):
        read(tmp_path / "b.nii.gz")


@pytest.mark.parametrize("offset", [0.0, 64.0, 348.0, 1e9, float("nan")])
def test_voxels_that_cannot_begin_there(tmp_path: Path, offset: float) -> None:
    raw = bytearray(save(tmp_path / "a.nii", np.ones((2, 2, 2), np.uint8)).read_bytes())
    raw[108:112] = np.float32(offset).tobytes()
    (tmp_path / "b.nii").write_bytes(raw)
    with pytest.raises(ScanError, match=r"voxels begin at|no readable NIfTI|damaged NIfTI header"):
        read(tmp_path / "b.nii")


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


def test_what_nibabel_mends_is_a_note_and_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    raw = bytearray(save(tmp_path / "a.nii", np.ones((3, 3, 3), np.uint8)).read_bytes())
    raw[252:254] = (99).to_bytes(2, "little")  # qform_code
    (tmp_path / "b.nii").write_bytes(raw)
    assert shape(tmp_path / "b.nii") == (3, 3, 3)
    assert read(tmp_path / "b.nii").warnings == ("doubtful header: qform_code 99 not valid; setting to 0",)
    assert capfd.readouterr() == ("", "")
