from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from tests.scans.made_dicom import series, write

from insula.core.errors import LimitError, ScanError
from insula.scans.limits import Limits
from insula.scans.read import read, read_files

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


def test_uneven_gaps_are_said(tmp_path: Path) -> None:
    series(tmp_path, [(0, 0, z) for z in (0.0, 5.0, 12.5)])
    assert read(tmp_path).warnings == ("uneven slice gaps 5.0 to 7.5 mm",)


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
    with pytest.raises(ScanError, match=r"2 series \(folders a, b\)"):
        read(tmp_path)
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


@needs_data
@pytest.mark.data
def test_a_real_head_with_tilt_and_uneven_gaps() -> None:
    volume = read(DATA / "ct_dicom" / "In" / "GE")
    assert volume.array.shape == (1, 28, 512, 512)
    assert (volume.units, volume.window) == ("HU", (35.0, 85.0))
    assert volume.warnings == ("gantry tilt 18.5 degrees", "uneven slice gaps 1.1 to 7.0 mm")


@needs_data
@pytest.mark.data
def test_real_scouts_and_summaries_are_refused_with_reasons() -> None:
    with pytest.raises(ScanError, match="localiser: 3, screen capture: 3"):
        read(DATA / "ct_dicom" / "In" / "Philips" / "S21570" / "S4010")
