from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK
from tests.scans.made_dicom import series, write

from insula.core.errors import LimitError, ScanError
from insula.scans import catalogue
from insula.scans.limits import Limits
from insula.scans.read import read, read_files
from insula.scans.regrid import untilt

DATA = Path(os.environ.get("INSULA_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")


def heights(count: int, step: float = 5.0) -> list[tuple[float, float, float]]:
    return [(-10.0, -20.0, 30.0 + step * k) for k in range(count)]


def test_slices_follow_positions_and_not_names_or_instance_numbers(tmp_path: Path) -> None:
    series(tmp_path, heights(12))
    volume = read(tmp_path)
    assert volume.array[0, :, 3, 3].tolist() == [float(k) for k in range(12)]
    assert volume.spacing == pytest.approx((0.25, 0.5, 5.0))
    assert volume.affine[:3, 3].tolist() == [-10.0, -20.0, 30.0]
    assert volume.warnings == ()
    assert "sop_uid" not in volume.attributes


def test_positions_that_run_downwards_still_end_with_the_head_up(tmp_path: Path) -> None:
    paths = series(tmp_path, heights(5)[::-1])
    volume = read_files(paths)
    assert volume.array[0, :, 3, 3].tolist() == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert volume.affine[2, 2] == pytest.approx(5.0)


def test_tilt_is_measured_and_kept_as_a_shear(tmp_path: Path) -> None:
    angle = np.radians(18.5)
    series(tmp_path, heights(4), (1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(-np.sin(angle))))
    volume = read(tmp_path)
    assert volume.warnings == ("gantry tilt 18.5 degrees",)
    np.testing.assert_allclose(volume.affine[:3, 2], (0.0, 0.0, 5.0), atol=1e-6)


def test_uneven_gaps_are_said_and_resampled(tmp_path: Path) -> None:
    series(tmp_path, [(0, 0, z) for z in (0.0, 5.0, 12.5)])
    volume = read(tmp_path)
    assert volume.warnings == ("uneven slice gaps 5.0 to 7.5 mm, resampled to 4.2 mm (3 slices became 4)",)
    # slice k is filled with the value k, so the value says between which slices a place lies
    assert volume.array[0, :, 3, 3].tolist() == pytest.approx([0.0, 2.5 / 3, 1 + 10 / 3 / 7.5, 2.0], abs=1e-5)
    assert volume.affine[2, 2] == pytest.approx(12.5 / 3)


def test_repeated_positions_localisers_and_other_sizes_are_set_aside(tmp_path: Path) -> None:
    series(tmp_path, heights(4))
    write(tmp_path / "again.dcm", np.full((6, 4), 7, np.int16), ImagePositionPatient=[-10.0, -20.0, 35.0])
    write(tmp_path / "scout.dcm", np.zeros((9, 9), np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write(tmp_path / "big.dcm", np.zeros((9, 9), np.int16))
    write(tmp_path / "coronal.dcm", np.zeros((6, 4), np.int16), ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    (tmp_path / "notes.txt").write_text("not a scan")
    volume = read(tmp_path)
    assert volume.array.shape == (1, 4, 6, 4)
    assert set(volume.warnings) == {
        "1 file set aside: at a repeated position",
        "1 file set aside: localiser",
        "2 files set aside: of another orientation or size, or without a position",
        "1 file set aside: no scan",
    }


def test_a_sagittal_series_is_permuted(tmp_path: Path) -> None:
    series(tmp_path, [(2.0 * k, 0, 0) for k in range(5)], (0.0, 1.0, 0.0, 0.0, 0.0, -1.0))
    volume = read(tmp_path)
    assert volume.array.shape == (1, 6, 4, 5)
    assert volume.spacing == pytest.approx((2.0, 0.25, 0.5))
    assert volume.array[0, 3, 3, :].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (np.diag(volume.affine) > 0).all()


def test_two_series_are_refused_with_their_number(tmp_path: Path) -> None:
    series(tmp_path / "a", heights(2))
    series(tmp_path / "b", heights(2), SeriesInstanceUID="9.9")
    with pytest.raises(ScanError, match=r"2 series \(1: CT, 2 slices of 4x6 5.0 mm apart, axial; 2: CT, .*--series 1"):
        read(tmp_path)
    with pytest.raises(ScanError, match=r"2 series \(folders a, b\)"):
        read_files(sorted(p for p in tmp_path.rglob("*.dcm")))
    assert read(tmp_path, series="2").attributes["series_uid"] == "9.9"
    assert read(tmp_path, series="1.2.3.4").attributes["series_uid"] == "1.2.3.4"
    assert read(tmp_path / "a" / "00.dcm", series="1").array.shape == (1, 1, 6, 4)
    assert read(tmp_path / "b").attributes["series_uid"] == "9.9"


def test_only_a_localiser_is_no_scan(tmp_path: Path) -> None:
    for k in range(2):
        write(tmp_path / f"{k}.dcm", np.zeros((4, 4), np.int16), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    with pytest.raises(ScanError, match="localiser: 2"):
        read(tmp_path)


def test_without_positions_instance_numbers_order_and_it_is_said(tmp_path: Path) -> None:
    fields = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
    for k in range(3):
        write(tmp_path / f"{k}.dcm", np.full((2, 2), 1024 + k, np.int16), InstanceNumber=9 - k, **fields)
    volume = read(tmp_path)
    assert volume.array[0, :, 0, 0].tolist() == [2.0, 1.0, 0.0]
    assert any("ordered by instance number" in w for w in volume.warnings)


def test_the_whole_stack_is_counted_before_it_is_decoded(tmp_path: Path) -> None:
    paths = series(tmp_path, heights(10))
    with pytest.raises(LimitError):
        read_files(paths, Limits(max_voxels=6 * 4 * 9))


GE = DATA / "ct_dicom" / "In" / "GE"


@needs_data
@pytest.mark.data
def test_a_real_head_with_tilt_and_uneven_gaps() -> None:
    volume = read(GE)
    assert volume.array.shape == (1, 37, 512, 512)
    assert (volume.units, volume.window) == ("HU", (35.0, 85.0))
    assert volume.warnings == (
        "gantry tilt 18.5 degrees",
        "uneven slice gaps 1.1 to 7.0 mm, resampled to 4.0 mm (28 slices became 37)",
    )


@needs_data
@pytest.mark.data
def test_the_real_heads_slices_are_simpleitks_and_lie_where_their_headers_say() -> None:
    volume = read(GE)
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(str(GE))
    reader.SetFileNames(names)
    theirs = SimpleITK.GetArrayFromImage(reader.Execute()).astype(np.float32)
    headers = [pydicom.dcmread(name, stop_before_pixels=True) for name in names]
    assert len(names) == 28
    exact = 0
    for picture, header in zip(theirs, headers, strict=True):
        position = np.array([float(v) for v in header.ImagePositionPatient])
        x, y, z, _ = np.linalg.inv(volume.affine) @ [*position, 1.0]
        assert (x, y) == pytest.approx((0.0, 0.0), abs=1e-3)  # the corner of each slice is a corner of the volume
        low = int(np.floor(z + 1e-4))
        if abs(z - round(z)) < 5e-3:  # a slice that stands on the even grid is kept as it was
            assert (volume.array[0, round(z)] == picture).all()
            exact += 1
        assert 0 <= low < 37
    assert exact >= 14
    # every slice of the grid is the mixture of the two real slices around it, at the place that the affine gives
    row, column = np.array(headers[0].ImageOrientationPatient[:3]), np.array(headers[0].ImageOrientationPatient[3:])
    normal = np.cross(row, column)
    heights = np.array([float(np.dot(h.ImagePositionPatient, normal)) for h in headers])
    for k in range(37):
        height = (volume.affine @ [0, 0, k, 1])[:3] @ normal
        above = int(np.clip(np.searchsorted(heights, height), 1, 27))
        share = np.clip((height - heights[above - 1]) / (heights[above] - heights[above - 1]), 0, 1)
        mixed = theirs[above - 1] * (1 - share) + theirs[above] * share
        assert np.abs(volume.array[0, k] - mixed).max() < 15  # a place within a hundredth of a slice is that slice
        assert np.abs(volume.array[0, k] - mixed).mean() < 1.0


@needs_data
@pytest.mark.data
def test_the_real_head_untilted_is_upright_and_keeps_its_values() -> None:
    volume = read(GE)
    upright = untilt(volume)
    axes = upright.affine[:3, :3] / np.linalg.norm(upright.affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert upright.spacing[2] == pytest.approx(4.0, abs=0.01)
    bone, before = (upright.array > 300).sum(), (volume.array > 300).sum()
    assert bone == pytest.approx(before, rel=0.03)


@needs_data
@pytest.mark.data
def test_real_scouts_and_summaries_are_refused_with_reasons() -> None:
    philips = DATA / "ct_dicom" / "In" / "Philips"
    with pytest.raises(ScanError, match="localiser: 3, screen capture: 3"):
        read(philips / "S21570" / "S4010")
    found = catalogue.of(philips)
    assert [(len(e.files), e.aside) for e in found] == [
        (1, "localiser"),
        (6, "localiser, screen capture"),
        (5, "localiser, screen capture"),
    ]
    assert {e.modality for e in found} == {"CT"}
