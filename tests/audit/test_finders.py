from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insula.audit.finders import FINDERS, TITLES, in_colour, outline
from insula.audit.sight import Sight
from insula.cohort.phantom.make import make
from insula.cohort.phantom.order import Options
from insula.cohort.phantom.plants import parse
from insula.core.types import Volume
from insula.scans import read

DATA = Path(os.environ.get("INSULA_DATA", Path(__file__).parents[3] / "shared" / "data"))
GRID = np.diag([1.0, 1.0, 5.0, 1.0])


def named(volume: Volume) -> set[str]:
    """What the finders suspect on a scan."""
    on = Sight(volume)
    return {name for name, find in FINDERS.items() if on.found(find).any()}


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Any:
    @cache
    def of(kind: str, plants: tuple[str, ...] = (), form: str = "scans", seed: int = 1, count: int = 12) -> list[Any]:
        """Of each patient the row of truth and the scan, or of pictures the scans of all slices."""
        place = tmp_path_factory.mktemp("made") / "p"
        folder = make(kind, place, count, seed, 128, 8, options=Options(form=form), plants=parse(plants))
        rows = csv.DictReader((folder / "truth.csv").read_text().splitlines())
        return [(row, [read.read(path) for path in _files(folder / row["scan"], form)]) for row in rows]

    return of


def _files(place: Path, form: str) -> Sequence[Path]:
    return [place] if form == "scans" else sorted(place.iterdir())


def told(made: Sequence[tuple[Mapping[str, str], Sequence[Volume]]], name: str) -> list[tuple[str, bool]]:
    """What truth says of a plant in each patient, and whether the finder suspects it on any scan."""
    return [(row[name], any(name in named(volume) for volume in several)) for row, several in made]


@pytest.mark.parametrize(
    ("kind", "form"), [("haemorrhage-ct", "scans"), ("brain-tumour", "scans"), ("stroke-ct", "jpeg")]
)
def test_at_most_one_of_24_clean_patients_is_suspected(phantoms: Any, kind: str, form: str) -> None:
    found = [
        any(named(volume) for volume in several) for seed in (1, 2) for _, several in phantoms(kind, (), form, seed)
    ]
    assert len(found) == 24
    assert sum(found) <= 1


@pytest.mark.parametrize(
    ("kind", "plants", "form"),
    [
        ("haemorrhage-ct", ("text:any", "device:any"), "scans"),
        ("brain-tumour", ("text:malignant", "outline:malignant"), "scans"),
        ("stroke-ct", ("text:stroke:ER 12",), "jpeg"),
    ],
)
def test_planted_letters_are_found_in_every_patient(
    phantoms: Any, kind: str, plants: tuple[str, ...], form: str
) -> None:
    found = told(phantoms(kind, plants, form), "text")
    assert [hit for _, hit in found] == [bool(planted) for planted, _ in found]
    assert len({planted for planted, _ in found}) == 2


def test_coils_and_clips_are_found_on_ct(phantoms: Any) -> None:
    found = told(phantoms("haemorrhage-ct", ("text:any", "device:any"), "scans"), "device")
    metal = [hit for planted, hit in found if planted in ("coil", "clip")]
    assert len(metal) >= 3
    assert sum(metal) >= len(metal) - 1
    assert not any(hit for planted, hit in found if not planted)


@pytest.mark.parametrize(
    ("kind", "plants"), [("brain-tumour", ("text:malignant", "outline:malignant")), ("stroke-ct", ("outline:stroke",))]
)
def test_outlines_of_lesions_are_found_on_mr_and_ct(phantoms: Any, kind: str, plants: tuple[str, ...]) -> None:
    found = told(phantoms(kind, plants, "scans"), "outline")
    assert sum(planted == "1" for planted, _ in found) >= 4
    assert all(hit == (planted == "1") for planted, hit in found)


def test_the_rim_of_metal_in_an_mr_is_a_device_and_no_outline(phantoms: Any) -> None:
    made = phantoms("brain-tumour", ("device:malignant",), "scans")
    metal = [named(several[0]) for row, several in made if row["device"] in ("coil", "clip")]
    assert metal == [{"device"}] * len(metal)
    assert metal


def test_pictures_saved_in_colour_are_known_and_bear_no_coloured_mark(phantoms: Any) -> None:
    made = phantoms("stroke-ct", ("colour:stroke",), "jpeg")
    assert all(in_colour(one) == (row["colour"] == "1") for row, several in made for one in several)
    assert not any("colour" in named(several[0]) for _, several in made)


def test_a_coloured_mark_on_a_grey_picture_is_found_where_it_is() -> None:
    array = np.repeat(grey(64), 3, axis=0)
    array[0, 0, 20:28, 30:38] = 255.0
    on = Sight(Volume(array, GRID, "RGB", "MR", "made", full_scale=255.0))
    assert np.array_equal(np.argwhere(on.found(FINDERS["colour"])[0]).min(axis=0), [20, 30])
    assert int(on.found(FINDERS["colour"]).sum()) == 64
    coloured = np.random.default_rng(0).uniform(0, 255, array.shape).astype(np.float32)
    assert "colour" not in named(Volume(coloured, GRID, "RGB", "", "a photograph", full_scale=255.0))
    assert "colour" not in named(Volume(array, GRID, "RGB", "SM", "a slide", full_scale=255.0))


def test_a_line_of_one_value_is_no_outline_where_it_encloses_nothing() -> None:
    volume = ct()
    volume.array[0, 1, 40, 20:44] = 1200.0
    assert not Sight(volume).found(outline).any()
    volume.array[0, 1, 30:41, [20, 43]] = 1200.0
    volume.array[0, 1, 30, 20:44] = 1200.0
    found = Sight(volume).found(outline)
    assert int(found.sum()) == 2 * 24 + 2 * 9
    assert named(volume) == {"outline"}


def ct() -> Volume:
    rng = np.random.default_rng(0)
    at = np.hypot(*np.mgrid[-32:32, -32:32]) * 3.0
    array = np.where(at < 80, 35.0, -1000.0) + rng.normal(0, 4, (1, 3, 64, 64))
    array[:, :, (at >= 74) & (at < 80)] = 1000.0
    return Volume(array.astype(np.float32), np.diag([3.0, 3.0, 5.0, 1.0]), "HU", "CT", "made")


def grey(size: int) -> np.ndarray:
    at = np.hypot(*np.mgrid[-size // 2 : size // 2, -size // 2 : size // 2])
    return np.where(at < size / 3, 120.0, 0.0)[None, None].astype(np.float32)


HOSTILE = {
    "one pixel": np.full((1, 1, 1, 1), 5.0),
    "two pixels": np.arange(2.0).reshape(1, 1, 1, 2),
    "constant": np.full((1, 3, 32, 32), 7.0),
    "not a number": np.full((1, 2, 32, 32), np.nan),
    "some not a number": np.where(np.arange(2048).reshape(1, 2, 32, 32) % 3, 100.0, np.nan),
    "one slice": ct().array[:, :1],
    "three channels": np.repeat(ct().array, 3, axis=0),
    "16 bits": np.linspace(0, 65535, 2 * 48 * 40).reshape(1, 2, 48, 40),
    "noise": np.random.default_rng(0).normal(0, 900, (1, 3, 40, 40)),
    "one row": np.linspace(0, 255, 300).reshape(1, 1, 1, 300),
    "negative": -np.abs(ct().array),
}


@pytest.mark.parametrize("units", ["HU", "a.u.", "RGB"])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_scan_makes_a_finder_fail(name: str, units: Any) -> None:
    array = np.array(HOSTILE[name], np.float32)
    for grid in (GRID, np.diag([0.1, 0.2, 9.0, 1.0]), np.diag([20.0, 15.0, 1.0, 1.0])):
        on = Sight(Volume(array, grid, units, "CT" if units == "HU" else "MR", name, full_scale=None))
        for find in FINDERS.values():
            found = on.found(find)
            assert found.shape == array.shape[1:]
            assert found.dtype == np.bool_


def test_a_finder_looks_once_at_a_sight() -> None:
    on, looked = Sight(ct()), []

    def find(sight: Sight) -> np.ndarray:
        looked.append(sight)
        return np.zeros((3, 64, 64), bool)

    assert on.found(find) is on.found(find)
    assert len(looked) == 1


def test_every_finder_has_a_title() -> None:
    assert set(FINDERS) == set(TITLES)


@pytest.mark.skipif(not (DATA / "brain_tumor_mri").is_dir(), reason="the real pictures are not here")
def test_letters_of_a_real_picture_are_found_and_a_plain_head_bears_none() -> None:
    lettered = Sight(read.read(DATA / "brain_tumor_mri/Training/notumor/Tr-no_1446.jpg"))
    boxed = np.argwhere(lettered.found(FINDERS["text"])[0])
    assert boxed.min(axis=0)[0] > 0.9 * lettered.shown.shape[1]  # the window's figures at the lower edge
    assert boxed.max(axis=0)[1] < 0.25 * lettered.shown.shape[2]
    assert named(read.read(DATA / "brain_tumor_mri/Training/notumor/Tr-noTr_0001.jpg")) == set()
