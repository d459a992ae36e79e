from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.tiny_bundle import volume

from insula.bundle.types import Bundle
from insula.core.recipe import Input, Target
from insula.core.types import Heatmap
from insula.infer import heatmap
from insula.infer.predict import Predictor


def test_colour_pictures_stay_in_colour() -> None:
    slide = np.zeros((3, 8, 8), np.float32)
    slide[0] = 1.0
    assert heatmap.picture(slide).shape == (8, 8)
    shown = heatmap.picture(slide, colour=True)
    assert shown.shape == (8, 8, 3)
    two = np.stack([np.zeros((8, 8)), np.ones((8, 8))]).astype(np.float32)
    assert heatmap.picture(two, channel=1).min() == 1.0
    section = {"modality": "SM", "unit": "image", "prep": ["colour", {"resize": 16}]}
    assert heatmap.is_colour(Input.model_validate(section))
    assert not heatmap.is_colour(Input.model_validate({**section, "prep": [{"colour": "grey"}]}))


def test_slices_are_ranked_by_heat_and_cold_ones_left_out() -> None:
    array = np.zeros((2, 4, 3, 3), np.float32)
    array[1, 2, 0, 1] = 5.0
    array[1, 0, 0] = 1.0
    array[1, 1] = 0.2  # below 15% of the scan's: hardly to be seen
    heat = Heatmap(array, (0, 1, 2, 3), np.full(4, 0.25, np.float32))
    assert heatmap.top_slices(heat, 1, 10) == (2, 0)
    assert heatmap.top_slices(heat, 0, 10) == ()
    assert heatmap.class_scale(heat, 1) == 5.0
    assert heatmap.class_scale(heat, 1, 0.5) == pytest.approx(0.2)
    assert heatmap.class_scale(heat, 0, 0.9) == 0.0
    assert heatmap.peak(heat, 1, 2) == pytest.approx((0.5, 1 / 6))
    array[1, 3] = -9.0
    array[1, 3, 2, 2] = 1.0
    assert heatmap.top_slices(heat, 1, 10) == (2, 0, 3)  # what lowers a score takes nothing away from its heat
    array[1, 1] = 0.6  # much heat, and nowhere enough of it to be seen
    assert heatmap.top_slices(heat, 1, 10) == (2, 0, 3)


def test_a_case_is_written_for_the_classes_asked_for(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    scan = volume(4)
    prepared, _ = predictor.prepare(scan)
    prediction = predictor.from_slices(prepared, "c")
    recipe = predictor.bundle.recipe
    written = heatmap.write_case(prediction, prepared, tmp_path / "out", recipe, ("normal", "stroke"), top=2)
    assert 1 <= len(written) <= 4
    assert all(p.is_file() and p.suffix == ".png" for p in written)
    assert {p.stem.rsplit("-", 1)[1] for p in written} <= {"normal", "stroke"}


def test_the_pictures_of_several_scans_say_whose_they_are(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    predictor = Predictor(tiny_bundle())
    shown, _ = predictor.prepare(volume(2))
    heat = np.zeros((2, 2, 4, 4), np.float32)
    heat[1, 1, 2, 2] = 1.0
    maps = {name: Heatmap(heat, (0, 1), np.full(2, 0.25, np.float32)) for name in ("ct", "ct.2")}
    prediction = replace(predictor.from_slices(shown, "c"), heatmaps=maps)
    views = {"ct": (np.zeros_like(shown), np.ones_like(shown))}
    written = heatmap.write_case(prediction, views, tmp_path / "out", predictor.bundle.recipe, ("stroke",))
    assert sorted(p.name for p in written) == ["ct-slice-0002-stroke.png", "ct.2-slice-0002-stroke.png"]
    corners = []
    for path in sorted(written):
        with Image.open(path) as image:
            corners.append(np.asarray(image)[0, 0].sum())
    dark, light = corners
    assert dark < 10 < light  # each is drawn on its own scan


def test_the_heat_volume_lies_on_the_scan(tiny_bundle: Callable[..., Bundle]) -> None:
    predictor = Predictor(tiny_bundle())
    scan = volume(3, size=32)
    prediction = predictor.volume(scan, "c")
    array = np.zeros_like(prediction.heatmaps["ct"].array)
    array[1, 2, 3, 0] = 1.0  # last slice, bottom row, leftmost column
    heat = replace(prediction.heatmaps["ct"], array=array)
    placed = heatmap.heat_volume(heat, 1, scan, predictor.bundle.recipe.input)
    z, y, x = np.unravel_index(int(placed.array[0].argmax()), placed.array.shape[1:])
    millimetres = placed.affine @ [x, y, z, 1]
    # the 32 mm picture in four cells of 8 mm: the cell's bounds, and the slice at 6 mm
    assert 0 <= millimetres[0] < 8
    assert 24 <= millimetres[1] < 32
    assert millimetres[2] == pytest.approx(6.0)


def test_slices_that_a_heat_map_does_not_show_are_unknown_in_its_volume(tiny_bundle: Callable[..., Bundle]) -> None:
    section, scan = tiny_bundle().recipe.input, volume(3)
    part = Heatmap(np.array([[[[-1.0]]]], np.float32), (1,), np.ones(1, np.float32))
    placed = heatmap.heat_volume(part, 0, scan, section).array[0]
    assert np.isnan(placed[[0, 2]]).all()
    assert (placed[1] == -1.0).all()


def test_a_binary_target_shows_its_positive_class_where_no_is_the_answer(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    predictor = Predictor(tiny_bundle())
    prepared, _ = predictor.prepare(volume(2))
    heat = np.zeros((2, 2, 4, 4), np.float32)
    heat[1, 1, 2, 2] = 1.0
    made = Heatmap(heat, (0, 1), np.full(2, 0.5, np.float32))
    sure = np.array([0.9, 0.1], np.float32)
    prediction = replace(predictor.from_slices(prepared, "c"), heatmaps={"ct": made}, probabilities=sure)
    recipe = predictor.bundle.recipe
    binary = Target.model_validate({"kind": "binary", "classes": ["normal", "stroke"]})
    asked = recipe.model_copy(update={"targets": {recipe.target_name: binary}})
    assert heatmap.write_case(prediction, prepared, tmp_path / "a", recipe) == []
    written = heatmap.write_case(prediction, prepared, tmp_path / "b", asked)
    assert [p.name for p in written] == ["slice-0002-stroke.png"]


@pytest.mark.parametrize(
    ("kind", "label", "shown", "said"),
    [
        ("binary", "normal", "stroke", "evidence for “stroke”, which the model does not call present"),
        ("binary", "stroke", "stroke", "evidence for “stroke”"),
        ("multiclass", "normal", "normal", "evidence for “normal”"),
        ("multiclass", "", "stroke", "evidence for “stroke”, which the model does not call present"),
    ],
)
def test_the_class_of_the_map_beside_an_answer(kind: str, label: str, shown: str, said: str) -> None:
    target = Target.model_validate({"kind": kind, "classes": ["normal", "stroke"], "primary": "stroke"})
    assert heatmap.class_of(target, label) == shown
    assert heatmap.evidence(shown, label) == said


def test_of_labels_that_stand_together_the_headline_is_shown_where_it_is_absent() -> None:
    target = Target.model_validate({"kind": "multilabel", "classes": ["any", "subdural"], "primary": "any"})
    assert heatmap.class_of(target, "no any") == "any"
    assert heatmap.evidence("any", "no any").endswith("which the model does not call present")


def test_a_slice_without_heat_gets_no_overlay_and_no_bar(tmp_path: Path) -> None:
    array = np.zeros((1, 2, 4, 4), np.float32)
    array[0, 0, 1, 1] = 1.0
    array[0, 1] = -1.0
    heat = Heatmap(array, (4, 5), np.full(2, 0.5, np.float32))
    pictures = [np.full((96, 96), 0.4, np.float32)] * 6
    warm, cold = heatmap.write_overlays(heat, 0, pictures, (0, 1), tmp_path, "", "x", said="Heat: score per cell.")
    assert [p.name for p in (warm, cold)] == ["slice-0005-x.png", "slice-0006-x.png"]
    with Image.open(warm) as image:
        assert image.size[0] > 96
        assert image.text["Note"].startswith("Heat: score per cell.")  # type: ignore[attr-defined]
    with Image.open(cold) as image:
        assert (np.asarray(image) == 102).all()
        assert image.size == (96, 96)
        notes = dict(image.text)  # type: ignore[attr-defined]
    assert notes["Note"].startswith("No heat above 0 in this slice")
    assert "Heat at the bar's top" not in notes


def test_pictures_say_that_their_peak_may_be_below_the_bars_top(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    """A cell's heat at its middle lies between pixels, where a side has an even number of them."""
    predictor = Predictor(tiny_bundle())
    scan = volume(2, size=32)
    prepared, _ = predictor.prepare(scan)
    array = np.zeros((2, 2, 4, 4), np.float32)
    array[1, 1, 2, 2] = 1.0
    made = Heatmap(array, (0, 1), np.full(2, 0.5, np.float32))
    placed = heatmap.heat_volume(made, 1, scan, predictor.bundle.recipe.input)
    assert 0.5 < np.nanmax(placed.array) < heatmap.class_scale(made, 1) == 1.0
    prediction = replace(predictor.from_slices(prepared, "c"), heatmaps={"ct": made})
    (path,) = heatmap.write_case(prediction, prepared, tmp_path / "out", predictor.bundle.recipe, ("stroke",))
    with Image.open(path) as image:
        note = dict(image.text)["Note"]  # type: ignore[attr-defined]
    assert "score per cell" in note
    assert "their own peak may be lower" in note
