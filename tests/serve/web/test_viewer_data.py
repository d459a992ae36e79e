"""What the viewer is told: scans with their windows and sides, and heat where it lies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serve.api.made import Made
from tests.serve.api.test_scans import SLICES, phantom, uploaded
from tests.serve.client import dicom, png

from insula.serve import laid
from insula.serve.faults import RequestError
from insula.serve.people.caller import Caller
from insula.serve.shown import Shown
from insula.serve.store import predictions, studies
from insula.serve.store.connect import reading
from insula.serve.view import View
from insula.serve.volumes import study_scans
from insula.serve.web.viewer_data import ViewerData, viewer_data, viewer_rows, windows

pytestmark = pytest.mark.serve


def caller(made: Made, *projects: str) -> Caller:
    return Caller(made.ids["reader"], "reader", "reader", frozenset(projects or (made.inside,)), "session")


def told(made: Made, study: str, prediction: str = "") -> ViewerData | None:
    with reading(made.service.records) as connection:
        kept = predictions.get(connection, prediction, None) if prediction else None
        rows = viewer_rows(connection, caller(made), study, kept)
    return viewer_data(made.service.files, rows)


def page(made: Made, study: str) -> str:
    answer = made.client("reader").get(f"/studies/{study}", headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_a_ct_has_its_own_window_then_those_of_the_head(made: Made, tmp_path: Path) -> None:
    found = told(made, uploaded(made, phantom(tmp_path), "V-ct"))
    assert found is not None
    (scan,) = found.scans
    assert [(one.key, one.name, one.centre, one.width) for one in scan.windows] == [
        (0, "The file's own", 40.0, 80.0),
        (1, "Brain", 40.0, 80.0),
        (2, "Subdural", 75.0, 215.0),
        (3, "Stroke", 40.0, 40.0),
        (4, "Bone", 600.0, 2800.0),
        (5, "Soft tissue", 40.0, 375.0),
    ]
    assert (scan.sided, scan.sized, scan.edges, scan.axial) == (True, True, ("R", "L", "A", "P"), True)
    assert (scan.slices, scan.start, scan.heat) == (SLICES, (SLICES + 1) // 2, None)
    assert made.client("reader").get(scan.volume).status_code == 200
    assert made.client("reader").get(scan.picture.replace("{number}", "1")).status_code == 200
    assert json.loads(json.dumps(found.plain()))["scans"][0]["name"] == scan.name


def test_sides_and_sizes_of_a_picture_are_not_made_up(made: Made) -> None:
    form = {"project": made.inside, "patient": "V-picture"}
    answer = made.client("reviewer").post("/api/v1/studies", data=form, files=[("files", ("a.png", png()))])
    found = told(made, answer.json()["id"])
    assert found is not None
    (scan,) = found.scans
    assert (scan.sided, scan.sized, scan.edges) == (False, False, ())
    assert scan.windows[0].name == "As the picture is"
    assert ' class="viewer-corner sides"' in page(made, answer.json()["id"])


def test_an_mr_without_a_window_is_shown_by_its_percentiles(made: Made) -> None:
    study = uploaded(made, [dicom("MR", number=n, series="1.2.8") for n in (1, 2)], "V-mr", "mri")
    with reading(made.service.records) as connection:
        kept = studies.get(connection, study, None)
        (scan,) = study_scans(made.service.files, kept, studies.files_of(connection, study))
    first, second = windows(replace(scan, units="a.u.", window=None))
    assert (first.key, first.name, second.name) == (1, "1st to 99th percentile", "All values")
    assert 0 < first.width < second.width


def test_heat_is_named_where_it_lies(made: Made) -> None:
    made_of = made.predicted("reviewer", patient="V-heat")
    found = told(made, made_of["study_id"], made_of["id"])
    assert found is not None
    (scan,) = found.scans
    assert scan.heat is not None
    assert (scan.heat.role, scan.heat.placed) == ("ct", True)
    first = scan.heat.classes[0]
    assert first.name == made_of["label"]
    assert first.probability == made_of["answer"]["probabilities"][first.name]
    assert made.client("reader").get(first.volume).status_code == 200
    assert set(scan.heat.weights) == {1, 2}
    assert all(1 <= number <= scan.slices for one in scan.heat.classes for number in one.slices)
    assert scan.start == (first.slices or (scan.start,))[0]
    assert 'id="viewer-data"' in page(made, made_of["study_id"])


def test_a_study_of_another_project_is_not_told_of(made: Made, tmp_path: Path) -> None:
    study = uploaded(made, phantom(tmp_path), "V-other")
    with reading(made.service.records) as connection, pytest.raises(RequestError) as refused:
        viewer_rows(connection, caller(made, made.outside), study, None)
    assert refused.value.status == 404


def seen(affine: np.ndarray[Any, Any], cells: np.ndarray[Any, Any], side: int = 8) -> View:
    slices = np.zeros((cells.shape[1], side, side), np.uint8)
    numbers = tuple(range(cells.shape[1]))
    return View(slices, cells, numbers, np.ones(len(numbers), np.float32), ("a",), affine, True)


def test_heat_in_the_patients_right_is_drawn_on_the_left_whatever_the_grid() -> None:
    cells = np.zeros((1, 3, 4, 4), np.float32)
    cells[0, 1, 0, 0] = 2.0  # the right, in front, of the middle slice
    scan = Shown(np.zeros((6, 64, 64), np.int16), np.diag([1.0, 1.0, 5.0, 1.0]), (40.0, 80.0))
    grid = np.diag([8.0, 8.0, 10.0, 1.0])
    grid[:3, 3] = [3.5, 3.5, 2.5]  # the same field in eight pixels instead of 64, every second slice
    warm = laid.heat_on_slice(seen(grid, cells), 0, scan, 3)
    rows, columns = np.nonzero(warm > 1.0)
    assert 0 < columns.max() < 20
    assert rows.max() < 20
    assert laid.heat_on_slice(seen(grid, cells), 0, scan, 0).max() == 0
    moved = grid.copy()
    moved[0, 3] += 32  # a grid that lies in the left half
    over = laid.heat_on_slice(seen(moved, cells), 0, scan, 3)
    assert np.nonzero(over > 1.0)[1].min() >= 30
