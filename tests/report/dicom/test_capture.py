"""Captures: the picture under the heat stays as it is, left stays left, and the words stand above it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import COLUMNS, ROWS, enhanced, headers, made_of, picture, plane, result

from insula.infer.overlay import overlay
from insula.report.dicom.drawing import drawn
from insula.report.dicom.result import Heat, SourceSeries

HEAT = Heat("ct", "any", plane, 0.79)


def captures(folder: Path, **changes: Any) -> list[FileDataset]:
    return [read_back(one.dataset) for one in made_of(result(folder, **changes), "capture")]


def test_the_picture_with_its_heat_reads_back_equal(tmp_path: Path) -> None:
    for one, number in zip(captures(tmp_path), (2, 3), strict=True):
        above = one.Rows - ROWS
        expected = overlay((picture(number) / 255).astype(np.float32), plane(number), 0.79)

        np.testing.assert_array_equal(one.pixel_array[above:, :COLUMNS], expected)


def test_where_there_is_no_heat_the_pixels_are_those_of_the_scan(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    cold = plane(2) <= 0

    shown = one.pixel_array[one.Rows - ROWS :, :COLUMNS]
    np.testing.assert_array_equal(shown[cold], np.repeat(picture(2)[cold][:, None], 3, axis=1))


def test_words_are_burnt_in_above_and_hide_nothing(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    band = one.pixel_array[: one.Rows - ROWS]
    bare, rows = drawn(picture(2), plane(2), replace(HEAT, finding="нет"), None)  # no ASCII: no name is burnt in

    assert (band.max(axis=(1, 2)) > 150).sum() > 30  # lines of bright letters
    assert one.Columns > COLUMNS
    assert bare.shape[0] - rows == ROWS
    assert rows < len(band)


def test_letters_stand_at_the_patients_sides(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    turned = headers(tmp_path, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    (other, _) = captures(tmp_path, series=(SourceSeries("ct", turned, picture, (2, 3)),))

    assert list(one.PatientOrientation) == [
        "L",
        "P",
    ]  # what is left in the picture is the right
    assert list(other.PatientOrientation) == ["R", "P"]
    warm = one.pixel_array[one.Rows - ROWS :, :COLUMNS].astype(int)
    hot = np.unravel_index((warm[..., 0] - warm[..., 2]).argmax(), (ROWS, COLUMNS))
    assert hot[1] > COLUMNS / 2  # the spot on the patient's left
    ends = slice(one.Rows - ROWS - 18, one.Rows - ROWS)
    assert not np.array_equal(one.pixel_array[ends, :20], other.pixel_array[ends, :20])
    np.testing.assert_array_equal(one.pixel_array[ends, :20], _letter(tmp_path, "R"))


def test_each_says_which_slice_it_shows(tmp_path: Path) -> None:
    known = headers(tmp_path)
    for one, number in zip(captures(tmp_path), (2, 3), strict=True):
        (source,) = one.SourceImageSequence
        assert source.ReferencedSOPInstanceUID == known[number].SOPInstanceUID
        assert list(one.PixelSpacing) == [0.45, 0.5]
        assert one.BurnedInAnnotation == "NO"
        assert one.Modality == "OT"


def test_a_frame_of_many_knows_its_place_too(tmp_path: Path) -> None:
    (one,) = captures(tmp_path, series=(SourceSeries("ct", (enhanced(tmp_path),), picture, (2,)),))

    assert one.SourceImageSequence[0].ReferencedFrameNumber == 3
    assert list(one.PatientOrientation) == ["L", "P"]
    assert list(one.PixelSpacing) == [0.45, 0.5]


def test_a_picture_that_shows_who_it_is_is_said_to(tmp_path: Path) -> None:
    named = headers(tmp_path, BurnedInAnnotation="YES")

    (one,) = captures(tmp_path, series=(SourceSeries("ct", named, picture, (2,)),))

    assert one.BurnedInAnnotation == "YES"


def test_colour_stays_colour(tmp_path: Path) -> None:
    colours = np.stack([picture(0), picture(1), picture(2)], axis=-1)
    source = SourceSeries("ct", headers(tmp_path), lambda _: colours, (0,))

    (one,) = captures(tmp_path, series=(source,))

    np.testing.assert_array_equal(one.pixel_array[one.Rows - ROWS :, :COLUMNS], colours)  # the slice has no heat


@pytest.mark.parametrize("series", [{"picture": None}, {"captured": ()}])
def test_without_pictures_or_slices_there_is_none(tmp_path: Path, series: dict[str, Any]) -> None:
    given = result(tmp_path)

    assert not made_of(replace(given, series=(replace(given.series[0], **series),)), "capture")


def _letter(folder: Path, letter: str) -> np.ndarray[Any, Any]:
    """The left end of the band's last line for a picture whose left edge is that side."""
    whole, rows = drawn(picture(2), plane(2), HEAT, ({"R": "L", "L": "R"}[letter], "P"))
    return whole[rows - 18 : rows, :20]
