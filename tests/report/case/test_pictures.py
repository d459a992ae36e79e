from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insula.core.recipe import Recipe
from insula.core.types import Decision, FloatArray, Heatmap, Prediction
from insula.infer.overlay import overlay
from insula.report.case.pictures import STYLE, bar, of_case, png

RECIPE = Recipe.model_validate(
    {
        "name": "two",
        "question": "Is there a tumour?",
        "inputs": {
            "mri": {"modality": "MR", "unit": "series", "prep": [{"percentile": [1, 99]}, {"resize": 48}]},
            "ct": {"modality": "CT", "unit": "series", "prep": [{"windows": [[40, 80]]}, {"resize": 48}]},
        },
        "targets": {
            "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "malignant"}
        },
        "model": {"encoder": "resnet18"},
    }
)
SLICES = 5
ACCEPT = Decision("malignant", True, 0.8, "accept", ())


def views() -> dict[str, tuple[FloatArray, ...]]:
    rng = np.random.default_rng(0)
    return {role: (rng.random((SLICES, 1, 48, 48), dtype=np.float32),) for role in ("mri", "ct")}


def prediction(**changes: Any) -> Prediction:
    plane = np.full((3, SLICES, 4, 4), -0.1, np.float32)
    plane[2, 3, 1, 2] = 0.9  # slice 4 of 5, the hottest
    plane[2, 1, 0, 0] = 0.4
    heat = Heatmap(plane, tuple(range(SLICES)), np.full(SLICES, 0.2, np.float32))
    cold = Heatmap(np.full_like(plane, -1.0), tuple(range(SLICES)), np.array([0.1, 0.1, 0.6, 0.1, 0.1], np.float32))
    found: dict[str, Any] = {"mri": heat, "ct": cold} | changes
    p = np.array([0.1, 0.1, 0.8], np.float32)
    return Prediction("c", "b", "tumour", RECIPE.target.classes, p, None, (), 0.2, np.zeros(1, np.float32), found)


def pixels(data: bytes) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_each_scan_gives_its_hottest_slices_drawn_as_explain_does() -> None:
    first, second, cold = of_case(prediction(), ACCEPT, views(), RECIPE, count=2, sided={"mri"})
    assert [(one.role, one.slice, one.of) for one in (first, second, cold)] == [
        ("mri", 4, 5),
        ("mri", 2, 5),
        ("ct", 3, 5),
    ]
    assert first.top == second.top == pytest.approx(0.9)
    assert (first.finding, first.present, first.sided, cold.sided) == ("malignant", True, True, False)
    shown = views()["mri"][0][3, 0]
    plane = prediction().heatmaps["mri"].array[2, 3]
    assert first.map is not None
    assert (pixels(first.map) == overlay(shown, plane, 0.9, STYLE)).all()
    assert (pixels(first.scan) == overlay(shown, plane, 0.0, STYLE)).all()
    assert pixels(first.scan).shape == (384, 384, 3)


def test_a_scan_without_heat_is_shown_by_its_weightiest_slice_and_no_map() -> None:
    cold = of_case(prediction(), ACCEPT, views(), RECIPE)[-1]
    assert (cold.role, cold.slice, cold.map, cold.top) == ("ct", 3, None, None)
    heat = prediction().heatmaps["ct"]
    even = Heatmap(heat.array, heat.slices, np.full(SLICES, 0.2, np.float32))
    assert of_case(prediction(ct=even), ACCEPT, views(), RECIPE)[-1].slice == 3  # the middle one


def test_a_faint_slice_is_said_to_be_one() -> None:
    plane = np.zeros((3, SLICES, 40, 40), np.float32)
    plane[2, 3] = 0.1
    plane[2, 3, 0, 0] = 5.0  # one cell far above the rest of its scan
    plane[2, 1] = 0.1
    heat = Heatmap(plane, tuple(range(SLICES)), np.full(SLICES, 0.2, np.float32))
    hot, faint = of_case(prediction(mri=heat), ACCEPT, {"mri": views()["mri"]}, RECIPE, count=2)
    assert (hot.faint, faint.faint, faint.slice) == (False, True, 2)


def test_the_map_of_another_answer_is_marked_as_evidence_for_it() -> None:
    given = Decision("benign", False, 0.6, "refer", ("x",))
    assert of_case(prediction(), given, views(), RECIPE)[0].finding == "benign"
    assert all(one.map is None for one in of_case(prediction(), given, views(), RECIPE))


def test_a_tile_of_a_slide_is_called_one() -> None:
    section = RECIPE.inputs["mri"].model_copy(update={"modality": "SM"})
    slides = RECIPE.model_copy(update={"inputs": {**RECIPE.inputs, "mri": section}})
    assert [one.part for one in of_case(prediction(), ACCEPT, views(), slides)] == ["tile", "slice"]


def test_a_rejected_case_has_no_pictures() -> None:
    assert of_case(prediction(), Decision("", False, 0.0, "reject", ("no",)), views(), RECIPE) == ()


def test_the_bar_runs_from_bright_to_dark() -> None:
    ramp = pixels(bar("inferno")).astype(int).sum(axis=2)[:, 0]
    assert ramp.shape == (128,)
    assert (np.diff(ramp) <= 0).all()
    assert ramp[0] > 600
    assert ramp[-1] < 20


def test_grey_pixels_are_kept_as_grey() -> None:
    grey = np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4, 1), 3, axis=2)
    with Image.open(io.BytesIO(png(grey))) as image:
        assert image.mode == "L"
    assert (pixels(png(grey)) == grey).all()
