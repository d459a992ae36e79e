"""The region: exactly the pixels that are hot enough, and no claim of a lesion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import FileDataset
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import enhanced, headers, made_of, picture, plane, result

from insula.report.dicom.result import Heat, SourceSeries


def regions(folder: Path, **changes: Any) -> list[FileDataset]:
    return [read_back(one.dataset) for one in made_of(result(folder, **changes), "region")]


@pytest.mark.parametrize("framed", [False, True], ids=["files", "frames"])
@pytest.mark.parametrize(("level", "slices"), [(0.5, [2]), (0.25, [2, 3])])
def test_the_hot_pixels_read_back_equal(tmp_path: Path, framed: bool, level: float, slices: list[int]) -> None:
    known = headers(tmp_path)
    series = SourceSeries("ct", (enhanced(tmp_path),) if framed else known, picture)
    (one,) = regions(tmp_path, series=(series,), heat=(Heat("ct", "any", plane, 0.79, True, level=level),))
    places = {tuple(float(mm) for mm in each.ImagePositionPatient): number for number, each in enumerate(known)}

    frames = one.pixel_array.reshape(-1, one.Rows, one.Columns)
    found = {
        places[tuple(float(mm) for mm in group.PlanePositionSequence[0].ImagePositionPatient)]: pixels
        for pixels, group in zip(frames, one.PerFrameFunctionalGroupsSequence, strict=True)
    }
    assert sorted(found) == slices
    for number, pixels in found.items():
        np.testing.assert_array_equal(pixels, plane(number) >= 0.79 * level)


def test_it_is_called_a_region_that_was_selected_by_which_model_and_level(tmp_path: Path) -> None:
    (one,) = regions(tmp_path)
    (segment,) = one.SegmentSequence
    (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence

    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Selected region"
    assert segment.SegmentLabel == "Heat for any"
    assert segment.SegmentAlgorithmType == "AUTOMATIC"
    assert algorithm.AlgorithmName == "haemorrhage-ct"
    assert algorithm.AlgorithmParameters == "level=0.5 of 0.79 score per cell"


def test_where_nothing_is_hot_enough_there_is_none(tmp_path: Path) -> None:
    heat = result(tmp_path).heat[0]

    assert not regions(tmp_path, heat=(replace(heat, level=1.5),))
    assert not regions(tmp_path, heat=(replace(heat, top=0.0),))


def test_what_the_model_does_not_call_present_is_not_marked(tmp_path: Path) -> None:
    assert not regions(tmp_path, heat=(replace(result(tmp_path).heat[0], present=False),))
