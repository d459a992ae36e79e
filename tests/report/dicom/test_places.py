"""Which way a picture lies in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from tests.report.dicom.made_result import headers

from insula.report.dicom import header, places
from insula.report.dicom.result import SourceSeries


@pytest.mark.parametrize(
    ("cosines", "towards"),
    [
        ((1, 0, 0, 0, 1, 0), ("L", "P")),
        ((1, 0, 0, 0, 0.948, -0.317), ("L", "P")),  # a tilted gantry
        ((-1, 0, 0, 0, 1, 0), ("R", "P")),
        ((0, 1, 0, 0, 0, -1), ("P", "F")),
        ((1, 0, 0, 0, 0, -1), ("L", "F")),
        ((0, -1, 0, 0, 0, 1), ("A", "H")),
    ],
)
def test_rows_and_columns_run_towards_a_side(cosines: Sequence[float], towards: tuple[str, str]) -> None:
    one = Dataset()
    one.ImageOrientationPatient = list(cosines)

    assert places.directions(one) == towards


def test_a_header_that_does_not_say_it_gives_none() -> None:
    assert places.directions(Dataset()) is None


@pytest.mark.parametrize(("said", "slices", "thick"), [(2.5, 5, 2.5), (None, 5, 4.9), (0, 5, 4.9), (None, 1, 0.45)])
def test_slices_are_as_thick_as_they_say_or_as_far_apart(
    tmp_path: Path, said: float | None, slices: int, thick: float
) -> None:
    source = header.source(SourceSeries("ct", headers(tmp_path, SliceThickness=said)[:slices]))

    assert places.thickness(source, range(slices)) == thick


@pytest.mark.parametrize(("letter", "other"), [("L", "R"), ("R", "L"), ("P", "A"), ("A", "P"), ("H", "F"), ("F", "H")])
def test_every_side_has_another(letter: str, other: str) -> None:
    assert places.opposite(letter) == other
