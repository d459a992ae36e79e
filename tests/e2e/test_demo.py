"""The whole line on phantom patients; the full-size demo is a slow test."""

import json
from pathlib import Path

import pandas as pd
import pytest

from insula.bundle.load import load
from insula.cohort import table
from insula.core import recipe as recipes
from insula.core.errors import UsageError
from insula.workflows.crossval import crossval
from insula.workflows.demo import SIZES, demo
from insula.workflows.demo_finished import finished
from insula.workflows.demo_records import records_of_demo

pytestmark = [pytest.mark.train, pytest.mark.serve]
FILES = {
    "recipe.yaml",
    "model.onnx",
    "head.onnx",
    "weights.safetensors",
    "decision.json",
    "baseline.json",
    "baseline.safetensors",
    "metrics.json",
    "model-card.md",
    "provenance.json",
    "manifest.json",
}


@pytest.mark.parametrize("name", SIZES)
def test_every_recipe_trains_evaluates_and_explains_its_own_phantoms(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, name, SIZES[name].__class__(24, 64, 8, (*SIZES[name].settings, "train.epochs=1")))
    lines: list[str] = []
    done = demo(name, tmp_path / "demo", lines.append)
    stages = ["phantom", "index", "split", "check", "prepare", "train", "export", "evaluate", "explain", "predict"]
    assert list(done.seconds) == stages
    assert {p.name for p in done.bundle.iterdir()} == FILES
    assert load(done.bundle).recipe.name == name
    content = json.loads((tmp_path / "demo/report.json").read_text())
    assert content["optimistic"] == []
    # a slice above the vertex may be empty after preparation, and is then refused as blank; nothing else fails
    assert [f for f in content["failures"] if "blank" not in f["reason"] or not f["rejected"]] == []
    assert "Research use only" in done.page.read_text()
    assert list((tmp_path / "demo/heatmaps/example").glob("*.png"))
    rows = pd.read_parquet(tmp_path / "demo/cases.parquet")
    assert len(rows) >= 4
    demo_again = pytest.raises(UsageError, match="no earlier demo")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").write_text("precious")
    with demo_again:
        demo(name, tmp_path / "other", lines.append)
    assert (tmp_path / "other/mine.txt").read_text() == "precious"
    assert len(table.load(tmp_path / "demo/cohort.parquet").cases) >= 24
    said: list[str] = []
    kept = records_of_demo(tmp_path / "demo", name, done.bundle, 0, said.append)
    assert kept.password
    assert "1 scans that the model does not take" in said[-1]  # the one of another modality, and no other
    assert finished(tmp_path / "demo", name) is not None


@pytest.mark.slow
def test_folds_by_patient_are_honest_and_folds_by_picture_are_called_optimistic(tmp_path: Path) -> None:
    from insula.cohort.index import index
    from insula.cohort.phantom.make import make

    settings = (
        "model.encoder=simple_cnn",
        "model.pretrained=false",
        "train.epochs=1",
        "inputs.slide.prep=[colour: rgb, resize: 32]",
    )
    recipe = recipes.load("clot-origin", settings)
    cohort = index(make("clot-origin", tmp_path / "clots", 30, size=64), recipe)
    lines: list[str] = []
    honest, page = crossval(cohort, recipe, 2, "patient", tmp_path / "honest", tmp_path / "cache", lines.append)
    assert honest.optimistic == ()
    assert honest.patient.patients == 30
    assert sorted(honest.table["case"]) == sorted(c.key for c in cohort.cases)
    assert "Optimistic" not in page.read_text()
    leaky, page = crossval(cohort, recipe, 2, "picture", tmp_path / "leaky", tmp_path / "cache", lines.append)
    assert leaky.optimistic
    assert leaky.headline.startswith("Optimistic")
    assert "Optimistic" in page.read_text()
    before = (tmp_path / "honest/fold-0/bundle/manifest.json").read_bytes()
    again, _ = crossval(cohort, recipe, 2, "patient", tmp_path / "honest", tmp_path / "cache", lines.append)
    assert (tmp_path / "honest/fold-0/bundle/manifest.json").read_bytes() == before
    assert again.headline == honest.headline


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_learns_its_phantoms_and_looks_at_the_lesion(tmp_path: Path) -> None:
    done = demo("haemorrhage-ct", tmp_path / "demo", print)
    auc = done.report.positive.figures["roc_auc"]
    assert auc.value >= 0.90
    assert auc.interval is not None
    assert done.report.localisation is not None
    assert done.report.localisation.pointing.value >= 0.70
