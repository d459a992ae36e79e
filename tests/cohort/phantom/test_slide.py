from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from insula.cohort.index import index
from insula.cohort.phantom import slide
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.phantom.plants import parse
from insula.core import recipe as recipes
from insula.core.errors import UsageError
from insula.core.recipe import PrepStep, Tiles
from insula.core.types import Volume
from insula.prep.run import apply
from insula.scans import slide_tiles, slides, tissue
from insula.scans.read import read_files

tifffile = pytest.importorskip("tifffile", reason="slides need the part insula[slides]")
pytest.importorskip("tiffslide", reason="slides need the part insula[slides]")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "slides"
    return make("clot-origin", folder, 6, seed=3, size=64, options=Options(slides=True))


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))


def test_a_slide_is_a_pyramid_of_jpeg_tiles_that_says_its_resolution(cohort: Path) -> None:
    for row in rows(cohort):
        with tifffile.TiffFile(cohort / row["scan"]) as file:
            level0 = file.pages[0]
            assert [level.shape[1] for level in file.series[0].levels] == [
                level0.shape[1],
                level0.shape[1] // 4,
                level0.shape[1] // 16,
            ]
            assert all(page.is_tiled and page.compression == 7 for page in file.pages)
        with slides.open_slide(cohort / row["scan"]) as slide_read:
            assert slide_read.mpp == pytest.approx(0.5) or slide_read.mpp == pytest.approx(0.4)
            assert slide_read.size[0] * float(slide_read.mpp or 0) == pytest.approx(5 * 64 * 2.0, rel=0.03)


def test_tissue_is_found_where_it_is_and_the_pen_mark_is_not_tissue(cohort: Path) -> None:
    scores = []
    for row in rows(cohort):
        path = cohort / row["scan"]
        with slides.open_slide(path) as opened:
            found, _ = slide_tiles.tissue_mask(opened)
        truth = np.asarray(Image.open(cohort / "masks" / f"{path.stem}-tissue.png")) > 127
        share = cv2.resize(found.astype(np.float32), truth.shape[::-1], interpolation=cv2.INTER_AREA)
        scores.append(tissue.dice(share >= 0.5, truth))
        bottom = np.zeros_like(found)
        bottom[int(0.96 * len(found)) :] = True  # where the pen is, below all pieces
        assert not (found & bottom).any()
    assert min(scores) > 0.93
    assert np.mean(scores) > 0.95


@pytest.mark.parametrize("ink", [(30, 55, 150), (20, 120, 70), (25, 25, 28)])
def test_ink_on_glass_is_never_tissue(ink: tuple[int, int, int]) -> None:
    picture = np.full((200, 300, 3), 243, np.uint8)
    cv2.line(picture, (20, 150), (280, 170), ink, 8, cv2.LINE_AA)
    assert not tissue.find(picture).any()
    cv2.circle(picture, (150, 60), 30, (210, 140, 170), -1)
    found = tissue.find(picture)
    assert found[60, 150]
    assert not found[130:].any()


def test_glass_with_noise_and_missing_black_tiles_is_no_tissue() -> None:
    picture = np.random.default_rng(0).normal(240, 3, (200, 300, 3)).astype(np.uint8)
    picture[:64, :64] = 0
    assert not tissue.find(picture).any()


def of_scanner(scanner: slide.SlideScanner, seed: int) -> tuple[Volume, np.ndarray]:
    level0, mask = slide.slide("CE", 64, np.random.default_rng(seed), scanner)
    size = (mask.shape[1] * 4, mask.shape[0] * 4)
    small = cv2.resize(level0, size, interpolation=cv2.INTER_AREA)
    array = np.ascontiguousarray(np.moveaxis(small.astype(np.float32), 2, 0)[:, None])
    inside = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return Volume(array, np.eye(4), "RGB", "SM", "made", 255.0), inside


def test_two_scanners_come_closer_by_stain_normalisation() -> None:
    pairs = [of_scanner(scanner, 6) for scanner in slide.SLIDE_SCANNERS]

    def apart(*steps: PrepStep) -> float:
        means = []
        for volume, inside in pairs:
            for step in steps:
                volume = apply(volume, step)
                assert volume.warnings == ()
            means.append(volume.array[:, 0][:, inside].mean(axis=1))
        return float(np.linalg.norm(means[0] - means[1]))

    assert apart() > 20
    assert apart(PrepStep(name="stain", params={"method": "macenko"})) < 5
    assert apart(PrepStep(name="stain", params={"method": "reinhard"})) < 3


def test_a_slide_without_haematoxylin_to_be_seen_is_left_as_it_is() -> None:
    volume, _ = of_scanner(slide.SLIDE_SCANNERS[1], 5)  # few nuclei, much red
    kept = apply(volume, PrepStep(name="stain", params={"method": "macenko"}))
    assert kept.warnings == ("stain not normalised: no haematoxylin was recognised",)
    assert (kept.array == volume.array).all()


def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    again = make("clot-origin", tmp_path / "again", 2, seed=3, size=64, options=Options(slides=True))
    made = sorted((again / "slides").iterdir())
    assert made
    for path in made:
        assert path.read_bytes() == (cohort / "slides" / path.name).read_bytes()
        mask = f"{path.stem}-tissue.png"
        assert (again / "masks" / mask).read_bytes() == (cohort / "masks" / mask).read_bytes()


def test_the_index_takes_each_slide_as_a_case_and_its_tiles_show_the_class(cohort: Path) -> None:
    recipe = recipes.load("clot-origin")
    found = index(cohort, recipe)
    assert len(found.cases) == len(rows(cohort))
    assert {case.scans["slide"].format for case in found.cases} == {"slide"}
    assert {case.scans["slide"].attributes["size"] for case in found.cases} <= {"1280x1280", "1600x1600"}
    assert json.loads((cohort / "phantom.json").read_text())["options"] == {"slides": True}
    red: dict[str, list[float]] = {"CE": [], "LAA": []}
    for case in found.cases:
        volume = read_files([cohort / p for p in case.scans["slide"].paths], tiles=Tiles(size=64))
        colour = volume.array
        inside = colour.min(axis=0) < 190
        share = float(((colour[1] < 120) & inside).sum() / inside.sum())
        red[case.labels["origin"][0]].append(share)
    assert np.mean(red["LAA"]) > np.mean(red["CE"]) + 0.1


def test_what_slides_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only clot-origin has slides"):
        make("stroke-ct", tmp_path / "a", 4, options=Options(slides=True))
    with pytest.raises(UsageError, match="leave out the slides"):
        make("clot-origin", tmp_path / "b", 4, options=Options(slides=True), plants=parse(["text:CE"]))
