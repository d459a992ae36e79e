"""Searches with real trainings, as small as they can be."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from sklearn.metrics import roc_auc_score
from tests.made_arrays import cohort, recipe

from insula.core.errors import SplitError, TrainingError, UsageError
from insula.core.types import Cohort, Scan, Split
from insula.prep.cache import build_all
from insula.train.data import Collate, SliceDataset, samples
from insula.train.fit import fit
from insula.workflows import search_training
from insula.workflows.search import search
from insula.workflows.search_metric import METRICS
from insula.workflows.search_score import Watch
from insula.workflows.search_space import Choices, Range
from insula.workflows.search_training import Training, inner_folds, seen

pytestmark = pytest.mark.train
SPACE: dict[str, Range | Choices] = {
    "train.lr": Range(1e-4, 1e-2, log=True),
    "model.pool": Choices(("mean", "max")),
}


def with_test_cases(root: Path, patients: int = 24) -> Cohort:
    """The made cohort, and test cases whose files are not there: who prepares them counts them as unprepared."""
    table = cohort(root, patients)
    gone = {"mri": Scan(("no.npy",), "npy")}
    split: Split = "test"
    hidden = [replace(c, key=f"t{c.key}", patient=f"t{c.patient}", split=split, scans=gone) for c in table.cases[:6]]
    return replace(table, cases=(*table.cases, *hidden))


def test_a_search_never_opens_the_test_split_and_gives_a_recipe_to_train(tmp_path: Path) -> None:
    table = with_test_cases(tmp_path)
    lines: list[str] = []
    asked = recipe("train.epochs=2")
    found, page = search(table, asked, SPACE, tmp_path / "out", tmp_path / "cache", trials=3, say=lines.append)
    assert found.best is not None
    assert [t.state for t in found.trials] == ["complete"] * 3
    for trial in found.trials:
        home = tmp_path / "out" / "trials" / f"{trial.number:04}"
        facts = json.loads((home / "run.json").read_text())
        assert facts["best_val_loss"] == pytest.approx(trial.score)
        assert (facts["train_inputs"], facts["val_inputs"], facts["unprepared"]) == (16, 8, 0)
        rows = list(csv.DictReader((home / "curves/metrics.csv").read_text().splitlines()))
        assert [float(r["val_loss"]) for r in rows if r["val_loss"]] == pytest.approx(list(trial.steps.values()))
        assert not (home / "checkpoints").exists()
        assert not (home / "weights.safetensors").exists()
    assert any(line.startswith("[trial 2, 3/3] ") and "; best " in line for line in lines)
    assert json.loads((tmp_path / "out/search.json").read_text())["cases"]["val_cases"] == 8
    again = fit(table, found.best_recipe or asked, tmp_path / "run", tmp_path / "cache")
    assert again.best_loss == pytest.approx(found.best.score, rel=1e-6)
    assert page.is_file()
    more, _ = search(table, asked, SPACE, tmp_path / "out", tmp_path / "cache", trials=4)
    assert [t.score for t in more.trials[:3]] == [t.score for t in found.trials]
    assert len(more.trials) == 4
    with pytest.raises(UsageError, match="another recipe;"):
        search(table, recipe("train.epochs=3"), SPACE, tmp_path / "out", tmp_path / "cache", trials=4)
    with pytest.raises(UsageError, match="another cohort, folds;"):
        search(cohort(tmp_path, 12), asked, SPACE, tmp_path / "out", tmp_path / "cache", trials=4, k=2)


def test_the_score_is_the_figure_of_the_network_that_is_kept(tmp_path: Path) -> None:
    table, asked = cohort(tmp_path), recipe("train.epochs=3", "train.lr=0.01", "train.ema=0.5")
    told: dict[int, float] = {}
    watch = Watch(METRICS["auc"], asked, told.__setitem__)
    run = fit(table, asked, tmp_path / "run", tmp_path / "cache", callbacks=(watch,))
    assert list(told) == [1, 2, 3]
    prepared = build_all(table.of_split("val"), Path(table.root), asked, tmp_path / "cache")
    rows = samples(table.of_split("val"), prepared, asked)
    dataset = SliceDataset(rows, prepared)
    batch = Collate(asked, prepared)([dataset[i] for i in range(len(rows))])
    with torch.no_grad():
        p = torch.softmax(run.network(batch.x, batch.mask, batch.clinical), 1)[:, 2].numpy()
    malignant = [float((row.y["tumour"] or ())[2]) for row in rows]
    assert watch.result() == pytest.approx(roc_auc_score(malignant, p))
    losses = np.array([float(r["val_loss"]) for r in _rows(run.folder) if r["val_loss"]])
    assert watch.score == told[int(losses.argmin()) + 1]


def _rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "curves/metrics.csv").read_text().splitlines()))


def test_a_figure_that_is_not_defined_fails_the_trial(tmp_path: Path) -> None:
    table, asked = cohort(tmp_path), recipe("train.epochs=1")
    kept = tuple(c for c in table.cases if c.split == "train" or c.labels["tumour"] != ("benign",))
    only = replace(table, cases=kept)
    with pytest.raises(
        TrainingError, match=r"All 2 trials failed; .*balanced accuracy of the val split is not defined"
    ):
        search(only, asked, SPACE, tmp_path / "out", tmp_path / "c", trials=2, metric="balanced_accuracy")
    assert "failed" in (tmp_path / "out/trials.csv").read_text()
    assert (tmp_path / "out/search.html").is_file()
    assert not (tmp_path / "out/best.yaml").exists()


def test_folds_keep_patients_whole_and_leave_the_test_split_alone(tmp_path: Path) -> None:
    table = with_test_cases(tmp_path)
    parts = inner_folds(table, recipe(), 4)
    held = [{c.patient for c in part.of_split("val")} for part in parts]
    assert sum(map(len, held)) == len(set().union(*held)) == 24
    for part, out in zip(parts, held, strict=True):
        assert {c.patient for c in part.of_split("train")} == set().union(*held) - out
        assert {c.split for c in part.cases} == {"train", "val"}
    assert not {c.key for c in seen(table).cases} & {c.key for c in table.of_split("test")}
    with pytest.raises(SplitError):
        inner_folds(table, recipe(), 20)
    with pytest.raises(TrainingError, match="24 train and 0 val"):
        seen(replace(table, cases=tuple(replace(c, split="train") for c in table.cases[:24])))


class _Score:
    """In place of a training: the share of malignant cases in its val split is the score."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[Cohort] = []
        monkeypatch.setattr(search_training, "fit", self.fit)

    def fit(self, part: Cohort, asked: Any, folder: Path, cache: Path, callbacks: Any, **more: Any) -> None:
        self.calls.append(part)
        callbacks[0].score = float(len(self.calls))


def test_with_folds_the_pruner_sees_the_mean_so_far_after_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = _Score(monkeypatch)
    parts = tuple(inner_folds(cohort(tmp_path), recipe(), 3))
    train = Training(recipe(), METRICS["val_loss"], parts, tmp_path, tmp_path / "cache", None)
    assert train.steps == 3
    study = optuna.create_study()
    trial = study.ask()
    assert train(trial, {}) == 2.0
    assert study.trials[0].intermediate_values == {1: 1.0, 2: 1.5, 3: 2.0}
    assert [tuple(c.key for c in call.cases) for call in stub.calls] == [tuple(c.key for c in p.cases) for p in parts]


def test_a_device_without_memory_is_a_failed_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **more: object) -> None:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(search_training, "fit", full)
    train = Training(recipe(), METRICS["auc"], (cohort(tmp_path),), tmp_path, tmp_path / "cache", None)
    with pytest.raises(TrainingError, match="memory did not suffice"):
        train(optuna.create_study().ask(), {})


def test_no_trial_begins_after_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(self: Training, trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        return float(values["train.lr"])

    monkeypatch.setattr(Training, "__call__", judge)
    folders = {"out": tmp_path / "out", "cache": tmp_path / "cache"}
    with pytest.raises(TrainingError, match="No trial has ended yet"):
        search(cohort(tmp_path), recipe(), SPACE, folders["out"], folders["cache"], trials=3, timeout=0.0)
    grid: dict[str, Range | Choices] = {"model.dropout": Range(0.0, 0.2, step=0.1), "train.lr": Choices((0.1, 0.2))}
    found, _ = search(
        cohort(tmp_path), recipe(), grid, tmp_path / "grid", folders["cache"], trials=40, sampler="grid", study_name="g"
    )
    assert len(found.trials) == found.about["trials"] == 6
    assert found.study == "g"
