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
from insula.report.dicom.drawing import drawn, factor
from insula.report.dicom.result import Heat, SourceSeries

HEAT = Heat("ct", "any", plane, 0.79, True)
TIMES = 5  # the made picture is enlarged so often


def captures(folder: Path, **changes: Any) -> list[FileDataset]:
    return [read_back(one.dataset) for one in made_of(result(folder, **changes), "capture")]


def test_the_picture_with_its_heat_reads_back_equal(tmp_path: Path) -> None:
    for one, number in zip(captures(tmp_path), (2, 3), strict=True):
        expected = overlay((picture(number) / 255).astype(np.float32), plane(number), 0.79)

        for down, along in ((0, 0), (TIMES - 1, TIMES - 1)):  # each pixel is that many times as high and wide
            np.testing.assert_array_equal(_shown(one, down, along), expected)


def test_where_there_is_no_heat_the_pixels_are_those_of_the_scan(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    cold = plane(2) <= 0

    np.testing.assert_array_equal(_shown(one)[cold], np.repeat(picture(2)[cold][:, None], 3, axis=1))


def test_words_are_burnt_in_above_and_hide_nothing(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    band = one.pixel_array[: one.Rows - ROWS * TIMES]
    no_ascii = replace(HEAT, finding="нет")  # its name is not burnt in
    bare, rows = drawn(picture(2), plane(2), no_ascii, None, "Slice 3 of 5")
    other, _ = drawn(picture(2), plane(2), no_ascii, None, "Slice 4 of 5")

    assert (band.max(axis=(1, 2)) > 150).sum() > 30  # lines of bright letters
    assert one.Columns > COLUMNS * TIMES
    assert bare.shape[0] - rows == ROWS * TIMES
    assert rows < len(band)
    assert not np.array_equal(bare[:rows], other[:rows])
    np.testing.assert_array_equal(bare[rows:], other[rows:])


@pytest.mark.parametrize(("sides", "times"), [((96, 80), 5), ((384, 512), 1), ((383, 600), 2), ((1, 9), 384)])
def test_a_small_picture_is_enlarged_by_a_whole_number(sides: tuple[int, int], times: int) -> None:
    assert factor(*sides) == times


def test_heat_that_the_model_does_not_call_present_is_said_to_be(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path, heat=(replace(HEAT, present=False),))
    (plain, _) = captures(tmp_path)

    assert one.Rows > plain.Rows  # a line more
    assert one.DerivationDescription.startswith("Evidence for any, which the model does not call present (")
    assert one.ImageComments.endswith("any, which the model does not call present")
    assert one.SeriesDescription == "haemorrhage-ct: not present: heat any (research use only)"
    assert plain.SeriesDescription == "haemorrhage-ct: heat any (research use only)"
    assert "not call" not in plain.DerivationDescription + plain.ImageComments
    small, rows = drawn(picture(2)[:40, :40], plane(2)[:40, :40], replace(HEAT, present=False), None, "")
    assert not small[:rows, -2:].any()  # no word is cut


def test_letters_stand_at_the_patients_sides(tmp_path: Path) -> None:
    (one, _) = captures(tmp_path)
    turned = headers(tmp_path, ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])
    (other, _) = captures(tmp_path, series=(SourceSeries("ct", turned, picture, (2, 3)),))

    assert list(one.PatientOrientation) == [
        "L",
        "P",
    ]  # what is left in the picture is the right
    assert list(other.PatientOrientation) == ["R", "P"]
    warm = _shown(one).astype(int)
    hot = np.unravel_index((warm[..., 0] - warm[..., 2]).argmax(), (ROWS, COLUMNS))
    assert hot[1] > COLUMNS / 2  # the spot on the patient's left
    above = one.Rows - ROWS * TIMES
    ends = slice(above - 18, above)
    assert not np.array_equal(one.pixel_array[ends, :20], other.pixel_array[ends, :20])
    np.testing.assert_array_equal(one.pixel_array[ends, :20], _letter(tmp_path, "R"))


def test_each_says_which_slice_it_shows(tmp_path: Path) -> None:
    known = headers(tmp_path)
    for one, number in zip(captures(tmp_path), (2, 3), strict=True):
        (source,) = one.SourceImageSequence
        assert source.ReferencedSOPInstanceUID == known[number].SOPInstanceUID
        assert list(one.PixelSpacing) == [0.45 / TIMES, 0.5 / TIMES]
        assert one.BurnedInAnnotation == "NO"
        assert one.Modality == "OT"


def test_a_frame_of_many_knows_its_place_too(tmp_path: Path) -> None:
    (one,) = captures(tmp_path, series=(SourceSeries("ct", (enhanced(tmp_path),), picture, (2,)),))

    assert one.SourceImageSequence[0].ReferencedFrameNumber == 3
    assert list(one.PatientOrientation) == ["L", "P"]
    assert list(one.PixelSpacing) == [0.45 / TIMES, 0.5 / TIMES]


def test_a_picture_that_shows_who_it_is_is_said_to(tmp_path: Path) -> None:
    named = headers(tmp_path, BurnedInAnnotation="YES")

    (one,) = captures(tmp_path, series=(SourceSeries("ct", named, picture, (2,)),))

    assert one.BurnedInAnnotation == "YES"


def test_colour_stays_colour(tmp_path: Path) -> None:
    colours = np.stack([picture(0), picture(1), picture(2)], axis=-1)
    source = SourceSeries("ct", headers(tmp_path), lambda _: colours, (0,))

    (one,) = captures(tmp_path, series=(source,))

    np.testing.assert_array_equal(_shown(one), colours)  # the slice has no heat


@pytest.mark.parametrize("series", [{"picture": None}, {"captured": ()}])
def test_without_pictures_or_slices_there_is_none(tmp_path: Path, series: dict[str, Any]) -> None:
    given = result(tmp_path)

    assert not made_of(replace(given, series=(replace(given.series[0], **series),)), "capture")


def _shown(one: FileDataset, down: int = 0, along: int = 0) -> np.ndarray[Any, Any]:
    """The picture's own pixels: of each block one, at that place in it."""
    return one.pixel_array[one.Rows - ROWS * TIMES :, : COLUMNS * TIMES][down::TIMES, along::TIMES]


def _letter(folder: Path, letter: str) -> np.ndarray[Any, Any]:
    """The left end of the band's last line for a picture whose left edge is that side."""
    whole, rows = drawn(picture(2), plane(2), HEAT, ({"R": "L", "L": "R"}[letter], "P"), "Slice 3 of 5")
    return whole[rows - 18 : rows, :20]
