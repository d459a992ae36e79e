"""`insula maps`: its words, its files, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.evaluate.scripted import case
from tests.tiny_bundle import volume

from insula.bundle.types import Bundle
from insula.cli import maps as verb
from insula.cohort.table import save
from insula.core.errors import EvaluationError, MissingPartError, UsageError
from insula.core.types import Cohort


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    cases = []
    for i in range(8):
        made = volume(3, seed=i, size=32)
        made.array[0, 1, 8:16, 16:24] += 60.0
        mask = np.zeros((3, 32, 32), np.uint8)
        mask[1, 8:16, 16:24] = 1
        np.savez(tmp_path / f"c{i}.npz", made.array[0], units=np.array("HU"))
        np.save(tmp_path / f"c{i}-mask.npy", mask)
        cases.append(case(f"c{i}", f"p{i}", mask=f"c{i}-mask.npy"))
    save(Cohort(tuple(cases), str(tmp_path), "patient"), tmp_path / "cohort.parquet")
    return tmp_path / "cohort.parquet"


def run(bundle: Bundle, cohort: Path, *words: str) -> tuple[str, dict[str, Any]]:
    out = cohort.parent / "maps"
    words = (str(bundle.path), str(cohort), "--out", str(out), "--steps", "3", "--draws", "1", *words)
    got = CliRunner().invoke(verb.maps, list(words), catch_exceptions=False)
    assert got.exit_code == 0, got.output
    return got.stdout, json.loads((out / "maps.json").read_text())


def test_the_bundle_alone_is_enough_for_lesions_and_curves(tiny_bundle: Callable[..., Bundle], cohort: Path) -> None:
    said, held = run(tiny_bundle(), cohort, "--no-sanity")
    assert held["facts"]["class"] == "stroke"
    assert held["lesions"][0]["n"] == held["facts"]["cases"] >= 3
    assert (held["cascade"], held["random"], held["shuffled"]) == ([], [], None)
    assert "Note: No weights were drawn anew" in said
    assert "Maps of 'stroke' by class_map" in said
    assert "explain" not in said
    assert (cohort.parent / "maps" / "maps.html").is_file()


def test_json_is_what_is_written(tiny_bundle: Callable[..., Bundle], cohort: Path) -> None:
    said, held = run(tiny_bundle(), cohort, "--no-sanity", "--json", "--method", "occlusion", "--most", "2")
    found = json.loads(said)
    assert {k: v for k, v in held.items() if k != "origin"} == found
    assert (found["facts"]["method"], found["facts"]["cases"]) == ("occlusion", 2)


def test_occlusion_asks_for_no_other_network_by_itself(tiny_bundle: Callable[..., Bundle], cohort: Path) -> None:
    _, held = run(tiny_bundle(), cohort, "--method", "occlusion", "--most", "1")
    assert held["random"] == []


def test_what_is_missing_is_named(
    tiny_bundle: Callable[..., Bundle], cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tiny_bundle()
    for words, error, said in (
        (("--method", "magic"), UsageError, "magic"),
        (("--class", "tumour"), UsageError, "no class 'tumour'"),
        (("--no-sanity", "--shuffled", str(bundle.path)), UsageError, "not trained on shuffled labels"),
        (("--no-sanity", "--split", "val"), EvaluationError, "no case in the split 'val'"),
    ):
        with pytest.raises(error, match=said):
            run(bundle, cohort, *words)
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    with pytest.raises(MissingPartError, match=r"insula\[train\]"):
        run(bundle, cohort, "--sanity")
    _, held = run(bundle, cohort)  # without PyTorch the rest is judged
    assert held["random"] == []
