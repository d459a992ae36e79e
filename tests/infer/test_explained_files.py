"""The files of an explanation: which there are, and that they show the scan they are named after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from tests.tiny_bundle import volume

from insula.bundle.types import Bundle
from insula.core.errors import UsageError
from insula.core.recipe import Recipe
from insula.core.types import Heatmap, Volume
from insula.infer.explained_files import Drawing, legend, write
from insula.infer.explainer import Explained
from insula.infer.overlay import Style
from insula.prep.run import prepare

BIG = Drawing(Style(least=64), top=2)


def made(recipe: Recipe, slices: int = 4) -> tuple[Explained, Volume, dict[str, tuple[np.ndarray, ...]]]:
    scan = volume(slices, size=32)
    array = np.zeros((1, slices, 4, 4), np.float32)
    array[0, 2, 1, 3] = 2.0
    array[0, 0, 0, 0] = 0.5
    array[0, 1, 2, 2] = -3.0
    weights = np.arange(1, slices + 1, dtype=np.float32)
    heat = Heatmap(array, tuple(range(slices)), weights / weights.sum())
    return Explained({"ct": heat}, "score per cell"), scan, {"ct": (prepare(scan, recipe.input),)}


def test_a_volume_gets_overlays_a_heat_map_projections_and_weights(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, views = made(recipe)
    files, shown = write(explained, views, {"ct": scan}, recipe, tmp_path, "stroke", BIG)
    assert {p.name for p in files} == {
        "slice-0003-stroke.png", "slice-0001-stroke.png", "heat-stroke.nii.gz", "projection-stroke.png",
        "slice-weights.csv", "slice-weights.svg",
    }  # fmt: skip
    assert all(p.is_file() for p in files)
    assert {s.of for s in shown} == {4}
    assert [(s.slice, s.peak) for s in shown] == [(2, (0.875, 0.375)), (0, (0.125, 0.125))]
    assert [s.heat for s in shown] == pytest.approx([0.8, 0.2])
    image = nibabel.load(tmp_path / "heat-stroke.nii.gz")
    data, affine = np.asarray(image.dataobj), image.affine
    x, y, z = np.unravel_index(int(data.argmax()), data.shape)
    left, posterior, up = np.diag([-1, -1, 1]) @ (affine @ [x, y, z, 1])[:3]
    assert 24 <= left < 32 and 8 <= posterior < 16 and up == 6.0  # noqa: PT018
    assert data.min() < -2  # what lowers the score stands in the volume
    with Image.open(tmp_path / "slice-0003-stroke.png") as drawn:
        assert drawn.size[1] == 64
        note = dict(drawn.text)["Note"]  # type: ignore[attr-defined]
    assert "score per cell" in note
    assert "the heat of the hottest cell" in note
    with Image.open(tmp_path / "projection-stroke.png") as drawn:
        notes = dict(drawn.text)  # type: ignore[attr-defined]
    assert "Heat: score per cell." in notes["Note"]
    assert "strongest along each line of sight" in notes["Note"]
    assert notes["Heat at the bar's top"] == "2"


def test_without_heat_there_is_nothing_to_draw(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, views = made(recipe)
    cold = replace(explained.heatmaps["ct"], array=np.full((1, 4, 4, 4), -1.0, np.float32))
    files, shown = write(replace(explained, heatmaps={"ct": cold}), views, {"ct": scan}, recipe, tmp_path, "x", BIG)
    assert {p.name for p in files} == {"heat-x.nii.gz", "slice-weights.csv", "slice-weights.svg"}
    assert shown == []


def test_slices_by_weight_or_by_number(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, views = made(recipe)
    _, heaviest = write(explained, views, {"ct": scan}, recipe, tmp_path, "x", replace(BIG, by="weight"))
    assert [s.slice for s in heaviest] == [3, 2]
    assert heaviest[0].peak is None  # no heat there
    _, named = write(explained, views, {"ct": scan}, recipe, tmp_path, "x", replace(BIG, slices={"ct": (1, 3)}))
    assert [s.slice for s in named] == [1, 3]
    with pytest.raises(UsageError, match="has no slice 10; its slices count from 1 to 4"):
        write(explained, views, {"ct": scan}, recipe, tmp_path, "x", replace(BIG, slices={"ct": (9,)}))


def test_one_cell_a_slice_has_no_place_and_gets_no_overlay(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, views = made(recipe)
    heat = explained.heatmaps["ct"]
    one = replace(heat, array=heat.weights[None, :, None, None])
    files, shown = write(replace(explained, heatmaps={"ct": one}), views, {"ct": scan}, recipe, tmp_path, "x", BIG)
    assert not [p for p in files if p.name.startswith(("slice-0", "projection"))]
    assert [(s.slice, s.peak) for s in shown] == [(3, None), (2, None)]


def test_a_slide_gets_the_map_of_its_tiles_and_no_volume(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, _ = made(recipe)
    slide = recipe.input.model_copy(update={"modality": "SM"})
    recipe = recipe.model_copy(update={"inputs": {"ct": slide}})
    facts = {"size": "400x200", "tile_side": "100.0", "tile_corners": "0,0 100,0 200,0 300,100"}
    tiles = np.full((4, 1, 16, 16), 0.5, np.float32)
    files, _ = write(explained, {"ct": (tiles,)}, {"ct": replace(scan, attributes=facts)}, recipe, tmp_path, "x", BIG)
    assert {p.name for p in files if "tiles" in p.name} == {"tiles-heat-x.png", "tiles-weights.png"}
    assert not [p for p in files if p.name.endswith(".nii.gz") or "projection" in p.name]
    for name, said in (("tiles-heat-x.png", "Heat: score per cell."), ("tiles-weights.png", "Weight of each tile")):
        with Image.open(tmp_path / name) as drawn:
            assert drawn.size[1] == 600
            assert said in dict(drawn.text)["Note"]  # type: ignore[attr-defined]


def test_files_of_several_scans_say_whose_they_are(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    recipe = tiny_bundle().recipe
    explained, scan, views = made(recipe)
    both = {"ct": explained.heatmaps["ct"], "ct.2": explained.heatmaps["ct"]}
    files, _ = write(
        replace(explained, heatmaps=both),
        {"ct": views["ct"] * 2},
        {"ct": scan, "ct.2": scan},
        recipe,
        tmp_path,
        "x",
        BIG,
    )
    names = {p.name for p in files}
    assert {"ct-heat-x.nii.gz", "ct.2-heat-x.nii.gz", "ct.2-slice-0003-x.png", "ct-slice-weights.svg"} <= names
    assert len(names) == len(files) == 11


def test_what_the_top_of_the_bar_stands_for() -> None:
    cells, pixels = (Heatmap(np.ones((1, 1, n, n), np.float32), (0,), np.ones(1, np.float32)) for n in (4, 16))
    assert "peak may be lower" in legend(cells, 1.0, (16, 16))
    assert legend(pixels, 1.0, (16, 16)) == "The bar's top is the heat of the hottest pixel."
    assert "99.5th percentile of the heat above 0" in legend(pixels, 0.995, (16, 16))
