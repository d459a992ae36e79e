from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from tests.scans.bundled import files
from tests.scans.made_dicom import series, write

from insula.core.errors import ScanError
from insula.scans import header
from insula.scans.doubt import DOUBT, is_doubt
from insula.scans.read import read
from insula.scans.regrid import untilt

PIXELS = np.arange(24, dtype=np.int16).reshape(4, 6)


def with_raw(path: Path, name: str, raw: bytes) -> Path:
    """A file whose attribute holds these bytes, whatever pydicom thinks of them."""
    made = pydicom.dcmread(write(path, PIXELS))
    tag = Tag(name)
    made._dict[tag] = RawDataElement(tag, "DS", len(raw), raw, 0, False, True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.save_as(path)
    return path


@pytest.mark.parametrize(
    ("name", "raw", "shown"),
    [
        ("PixelSpacing", rb"0\0 ", r"'0\0' is no pair of lengths from 0.0001 to 2000 mm"),
        ("PixelSpacing", rb"-1\-1 ", r"'-1\-1' is no pair of lengths"),
        ("PixelSpacing", rb"1e30\1e30 ", r"'1e30\1e30' is no pair of lengths"),
        ("PixelSpacing", b"0.5 ", "'0.5' is no pair of lengths"),
        ("PixelSpacing", rb"Smith\Jo", "(text instead of numbers) is no pair of lengths"),
        ("ImageOrientationPatient", rb"1\0\0\1\0\0 ", r"'1\0\0\1\0\0' is no pair of perpendicular unit vectors"),
        ("ImageOrientationPatient", rb"0\0\0\0\0\0 ", r"'0\0\0\0\0\0' is no pair of perpendicular unit vectors"),
        ("ImageOrientationPatient", rb"Smith\0\0\0\1\0 ", "(text instead of numbers) is no pair"),
        ("ImagePositionPatient", rb"1\0 ", r"'1\0' is no point of three coordinates"),
        ("SliceThickness", b"-3", "'-3' is no length from 0.0001 to 2000 mm"),
    ],
)
def test_what_is_there_and_cannot_be_used_is_not_called_absent(
    tmp_path: Path, name: str, raw: bytes, shown: str
) -> None:
    volume = read(with_raw(tmp_path / "a.dcm", name, raw))
    doubts = [w for w in volume.warnings if is_doubt(w)]
    assert len(doubts) == 1
    assert doubts[0].startswith(f"{DOUBT}{name} {shown}")
    assert not any("Smith" in w for w in volume.warnings)  # text in place of a number may be a name
    assert not any(w.startswith(("no pixel", "no position")) for w in volume.warnings)
    assert any(w.startswith("no usable") for w in volume.warnings) == (name != "SliceThickness")
    assert volume.spacing[:2] == ((1.0, 1.0) if name == "PixelSpacing" else (0.25, 0.5))


def test_what_is_absent_or_empty_is_no_doubt(tmp_path: Path) -> None:
    absent = read(write(tmp_path / "a.dcm", PIXELS, PixelSpacing=None, ImageOrientationPatient=None))
    empty = read(with_raw(tmp_path / "b.dcm", "PixelSpacing", b""))
    unknown = read(with_raw(tmp_path / "c.dcm", "SliceThickness", b"0 "))
    assert not any(is_doubt(w) for volume in (absent, empty, unknown) for w in volume.warnings)
    assert "no pixel spacing in the header: 1 mm assumed" in absent.warnings
    assert "no pixel spacing in the header: 1 mm assumed" in empty.warnings


def test_the_files_of_a_series_are_counted(tmp_path: Path) -> None:
    series(tmp_path / "s", [(0, 0, 5.0 * k) for k in range(3)], PixelSpacing=[0, 0])
    assert (
        rf"{DOUBT}PixelSpacing '0.0\0.0' is no pair of lengths from 0.0001 to 2000 mm (3 files)"
        in read(tmp_path / "s").warnings
    )


def test_slices_farther_apart_than_any_voxel_is_long_are_refused(tmp_path: Path) -> None:
    series(tmp_path / "s", [(0, 0, 1e30 * k) for k in range(3)])
    with pytest.raises(ScanError, match=r"slices 1e\+30 mm apart, more than the 2000 mm"):
        read(tmp_path / "s")


def saved(path: Path, axes: Any, origin: float = 0.0) -> Path:
    affine = np.eye(4)
    affine[:3, :3], affine[0, 3] = axes, origin
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    image.set_sform(affine, 1)
    image.set_qform(None, 0)
    nib.save(image, path)
    return path


@pytest.mark.parametrize(
    ("size", "shown"), [(1e30, r"1e\+30 x 1 x 1"), (3000, "3000 x 1 x 1"), (1e-6, "1e-06 x 1 x 1")]
)
def test_voxels_of_an_absurd_size_are_refused_with_the_rule(tmp_path: Path, size: float, shown: str) -> None:
    with pytest.raises(ScanError, match=rf"claims voxels of {shown} mm; sizes from 0.0001 to 2000 mm are read"):
        read(saved(tmp_path / "a.nii", np.diag([size, 1, 1])))


def test_axes_that_are_not_at_right_angles_are_said_with_the_way_out(tmp_path: Path) -> None:
    lean = np.tan(np.radians([20.0, 50.0]))
    tilted = read(saved(tmp_path / "t.nii", [[1, 0, 0], [0, 1, lean[0]], [0, 0, 1]]))
    assert tilted.warnings == ("slices lean by 20.0 degrees, as under a tilted gantry",)
    assert untilt(tilted).affine[1, 2] == pytest.approx(0, abs=1e-9)
    strong = read(saved(tmp_path / "s.nii", [[1, 0, 0], [0, 1, lean[1]], [0, 0, 1]]))
    assert strong.warnings == (f"{DOUBT}the axes are 50.0 degrees from right angles; `untilt` sets them upright",)
    assert untilt(strong).affine[1, 2] == pytest.approx(0, abs=1e-9)
    every = read(saved(tmp_path / "e.nii", [[1, 0.5, 0.4], [0.3, 1, 0.2], [0.1, 0.3, 1]]))
    assert every.warnings[0].endswith("resample it to upright axes")
    with pytest.raises(ScanError, match="No two axes"):
        untilt(every)
    turned = read(saved(tmp_path / "r.nii", [[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]]))
    assert turned.warnings == ()


def test_an_origin_that_no_scan_has_and_axes_that_span_no_space(tmp_path: Path) -> None:
    far = read(saved(tmp_path / "f.nii", np.eye(3), 1e9))
    assert far.warnings == (f"{DOUBT}the first voxel lies 1e+09 mm from the origin",)
    flat = read(saved(tmp_path / "p.nii", [[1, 1, 0], [0, 0, 0], [0, 0, 1]]))
    assert flat.warnings == (f"{DOUBT}unusable affine: 1 mm voxels assumed, left and right not certain",)


@pytest.mark.parametrize("name", ["meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm"])
def test_pixels_without_a_size_are_not_called_no_picture(name: str) -> None:
    path = files()[f"test_files/{name}"]
    assert "PixelData" in pydicom.dcmread(path, force=True)
    assert header.read(path).aside == "pixels without rows and columns"
    with pytest.raises(ScanError, match=r"no slice of a scan \(pixels without rows and columns\)"):
        read(path)
