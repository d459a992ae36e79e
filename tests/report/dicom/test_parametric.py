"""The map: each number stands for the heat that it was made of, at the place where it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from tests.report.dicom.checked import errors, read_back
from tests.report.dicom.made_result import SLICES, enhanced, headers, made_of, picture, plane, result

from insula.report.dicom import parametric
from insula.report.dicom.make import make
from insula.report.dicom.result import Heat, SourceSeries


def mapped(folder: Path, **changes: Any) -> FileDataset:
    (made,) = made_of(result(folder, **changes), "map")
    return read_back(made.dataset)


def by_slice(one: FileDataset, known: tuple[Dataset, ...]) -> dict[int, NDArray[np.float64]]:
    """Slice → real-world values, found by the frame's position in the patient."""
    places = {tuple(float(mm) for mm in each.ImagePositionPatient): number for number, each in enumerate(known)}
    (mapping,) = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    frames = one.pixel_array.reshape(-1, one.Rows, one.Columns)
    found = {}
    for pixels, group in zip(frames, one.PerFrameFunctionalGroupsSequence, strict=True):
        place = tuple(float(mm) for mm in group.PlanePositionSequence[0].ImagePositionPatient)
        found[places[place]] = pixels * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
    return found


@pytest.mark.parametrize("framed", [False, True], ids=["files", "frames"])
def test_values_read_back_as_the_heat_was(tmp_path: Path, framed: bool) -> None:
    known = headers(tmp_path)
    series = SourceSeries("ct", (enhanced(tmp_path),) if framed else known, picture)
    one = mapped(tmp_path, series=(series,))
    found = by_slice(one, known)

    assert sorted(found) == list(range(SLICES))
    peak = max(float(plane(number).max()) for number in range(SLICES))
    for number, values in found.items():
        np.testing.assert_allclose(values, np.maximum(plane(number), 0.0), atol=peak / 65535)


def test_it_lies_where_the_slices_lie(tmp_path: Path) -> None:
    known = headers(tmp_path)
    one = mapped(tmp_path)
    shared = one.SharedFunctionalGroupsSequence[0]

    assert one.FrameOfReferenceUID == known[0].FrameOfReferenceUID
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.45, 0.5]
    assert shared.FrameAnatomySequence[0].AnatomicRegionSequence[0].CodeMeaning == "Head"


def test_it_says_what_its_numbers_are_and_that_they_are_for_research(tmp_path: Path) -> None:
    one = mapped(tmp_path)
    (mapping,) = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence

    assert one.ContentQualification == "RESEARCH"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning == "Class activation"
    assert (one.BitsAllocated, one.PixelRepresentation) == (16, 0)
    assert one.pixel_array.max() == 65535


def test_other_heat_than_a_class_map_is_a_saliency(tmp_path: Path) -> None:
    one = mapped(tmp_path, heat=(Heat("ct", "any", plane, 1.0, True, unit="score lost"),))

    (mapping,) = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning == "Saliency"


def test_it_says_first_that_the_model_does_not_call_it_present(tmp_path: Path) -> None:
    finding = "intraparenchymal haemorrhage of whatever kind and at whatever place"
    one = mapped(tmp_path, heat=(Heat("ct", finding, plane, 1.0, False),))

    (mapping,) = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    assert mapping.LUTExplanation.startswith("not present: score per cell, evidence for intra")
    assert mapping.LUTLabel == "HEAT"
    assert one.ContentDescription.startswith("not present: evidence for intra")
    assert one.SeriesDescription.endswith(": not present: heat map intrapa… (research use only)")


def test_a_long_series_is_thinned_out_and_lies_in_the_same_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parametric, "_MOST_PIXELS", 96 * 80 * 5 // 3)
    (made,) = made_of(result(tmp_path), "map")
    one = read_back(made.dataset)
    (mapping,) = one.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence

    assert not errors(made.dataset)
    assert (one.Rows, one.Columns) == (48, 40)
    assert list(one.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].PixelSpacing) == [0.9, 1.0]
    hot = np.unravel_index(one.pixel_array.argmax(), one.pixel_array.shape)
    place = one.PerFrameFunctionalGroupsSequence[int(hot[0])].PlanePositionSequence[0].ImagePositionPatient
    known = headers(tmp_path)[2].ImagePositionPatient
    assert [float(a) - float(b) for a, b in zip(place, known, strict=True)] == pytest.approx([0.25, 0.225, 0.0])
    means = np.maximum(plane(2), 0).reshape(48, 2, 40, 2).mean(axis=(1, 3))
    step = mapping.RealWorldValueSlope
    np.testing.assert_allclose(one.pixel_array[int(hot[0])] * step, means, atol=step)


@pytest.mark.parametrize("fill", [0.0, -1.0, float("nan"), float("inf")])
def test_without_heat_above_zero_there_is_none(tmp_path: Path, fill: float) -> None:
    heat = Heat("ct", "any", lambda _: np.full((96, 80), fill, np.float32), 1.0, True)

    assert not made_of(result(tmp_path, heat=(heat,)), "map")


def test_slices_that_are_no_stack_give_none(tmp_path: Path) -> None:
    known = headers(tmp_path)
    known[1].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    given = result(tmp_path)

    assert not list(make(replace(given, series=(replace(given.series[0], headers=known),)), ("map", "region")))


def test_of_two_slices_in_one_place_the_first_stands(tmp_path: Path) -> None:
    known = headers(tmp_path)
    known[1].ImagePositionPatient = known[0].ImagePositionPatient
    given = result(tmp_path)

    one = mapped(tmp_path, series=(replace(given.series[0], headers=known),))

    assert one.NumberOfFrames == SLICES - 1
