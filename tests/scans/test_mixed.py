"""Files under one series UID that are not one scan: refused, or said."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from tests.scans.made_dicom import series, write

from insula.core.errors import ScanError
from insula.scans import mixed
from insula.scans.read import read

PLACES = [(0.0, 0.0, 5.0 * k) for k in range(6)]


def with_another(folder: Path, **fields: object) -> Path:
    """A series whose slice 3 says something else."""
    paths = series(folder, PLACES)
    pixels = np.full((6, 4), 1027, np.int16)
    pixels[0, 0] = 2000
    write(paths[3], pixels, ImagePositionPatient=list(PLACES[3]), InstanceNumber=97, **fields)
    return folder


@pytest.mark.parametrize(
    ("fields", "several"), [({"PatientID": "P2"}, "patients"), ({"StudyInstanceUID": "1.2.9"}, "studies")]
)
def test_slices_of_two_patients_under_one_series_uid_are_no_scan(
    fields: dict[str, object], several: str, tmp_path: Path
) -> None:
    with pytest.raises(ScanError, match=f"one series UID and are of several {several}") as told:
        read(with_another(tmp_path / "mixed", **fields))
    assert "P2" not in str(told.value)
    assert "1.2.9" not in str(told.value)


def test_a_file_that_names_no_patient_is_let_through(tmp_path: Path) -> None:
    assert read(with_another(tmp_path / "silent", PatientID=None)).array.shape[1] == 6


def test_two_patients_are_seen_behind_a_first_file_that_names_none(tmp_path: Path) -> None:
    folder = with_another(tmp_path / "mixed", PatientID="P2")
    write(folder / "0.dcm", np.ones((6, 4), np.int16), ImagePositionPatient=[0.0, 0.0, -5.0], PatientID=None)
    with pytest.raises(ScanError, match="are of several patients"):
        read(folder)


def test_slices_of_another_frame_of_reference_are_said(tmp_path: Path) -> None:
    series(tmp_path / "plain", PLACES, FrameOfReferenceUID="1.2.7")
    plain = read(tmp_path / "plain")
    assert not any("frames of reference" in note for note in plain.warnings)
    paths = series(tmp_path / "two", PLACES, FrameOfReferenceUID="1.2.7")
    pixels = np.arange(24, dtype=np.int16).reshape(6, 4)
    write(paths[3], pixels, ImagePositionPatient=list(PLACES[3]), InstanceNumber=97, FrameOfReferenceUID="1.2.8")
    assert "doubtful header: the files name 2 frames of reference" in " ".join(read(tmp_path / "two").warnings)


def test_ct_slices_of_different_slopes_are_said(tmp_path: Path) -> None:
    said = read(with_another(tmp_path / "slopes", RescaleSlope=2.0)).warnings
    assert "doubtful header: the slices are rescaled to Hounsfield units in 2 different ways" in said
    assert mixed.scales([(1.0, 0.0), (2.0, 0.0)], "PT") == ()  # of PET every slice has its own


def test_a_slice_whose_picture_stands_at_two_places_is_said(tmp_path: Path) -> None:
    paths = series(tmp_path / "copied", PLACES)
    pixels = np.full((6, 4), 1026, np.int16)  # as slice 2
    pixels[0, 0] = 2000
    write(paths[3], pixels, ImagePositionPatient=list(PLACES[3]), InstanceNumber=97)
    assert "1 slice has the very picture of another one at another place" in read(tmp_path / "copied").warnings


def test_slices_that_differ_between_the_sampled_pixels_are_no_copies() -> None:
    array = np.zeros((1, 3, 32, 32), np.float32)
    array[0, :, 5, 5] = (1.0, 2.0, 3.0)
    assert mixed.repeated_pictures(array) == ()
    array[0, 2] = array[0, 0]
    assert mixed.repeated_pictures(array) == ("1 slice has the very picture of another one at another place",)


def test_thousands_of_slices_that_differ_between_the_sampled_pixels_are_compared_once() -> None:
    array = np.zeros((1, 3000, 16, 16), np.float32)
    array[0, :, 5, 5] = np.arange(3000) // 2
    begun = time.process_time()
    assert mixed.repeated_pictures(array) == ("1499 slices have the very picture of another one at another place",)
    assert time.process_time() - begun < 5


def test_blank_slices_may_be_equal() -> None:
    array = np.full((1, 4, 8, 8), -1024.0, np.float32)
    array[0, 1, 2, 2] = 0.0
    assert mixed.repeated_pictures(array) == ()


def test_every_other_slice_missing_is_said(tmp_path: Path) -> None:
    paths = series(tmp_path / "thin", PLACES)
    assert not any("not seen" in note for note in read(tmp_path / "thin").warnings)
    for path in paths[1::2]:
        path.unlink()
    said = "slices 5.0 mm thick lie 10.0 mm apart: 50% of what lies between the first and the last was not seen"
    assert said in read(tmp_path / "thin").warnings
    assert mixed.unseen(7.0, 5.0) == ()
    assert mixed.unseen(70.0, None) == ()
