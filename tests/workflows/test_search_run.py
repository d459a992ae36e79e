from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from tests.workflows import made_search
from tests.workflows.made_search import SMALL, SPACE, bowl, searched

from insula.core.errors import TrainingError, UsageError
from insula.workflows import search_space, search_study
from insula.workflows.search_results import Search

pytestmark = pytest.mark.train
ROOT = Path(__file__).parents[2]


def store(folder: Path) -> str:
    return f"sqlite:///{folder / 'search.db'}"


def drawn(search: Search) -> list[dict[str, Any]]:
    return [dict(t.values) for t in search.trials]


def begin(address: str, total: int, kind: str, seconds: float, folder: Path, workers: int = 1) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    asked = (address, total, kind, seconds, folder, workers)
    command = [sys.executable, str(Path(made_search.__file__)), *map(str, asked)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def wait_for(path: Path, worker: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 90
    while not path.exists():
        if worker.poll() is not None or time.monotonic() > end:
            worker.kill()
            raise AssertionError(worker.communicate()[0])
        time.sleep(0.02)


def wait_for_life(folder: Path, trial: int, worker: subprocess.Popen[str]) -> None:
    """Until a trial has given its first sign of life, without which nobody can tell that it has ended."""
    asked = "SELECT 1 FROM trial_heartbeats JOIN trials USING (trial_id) WHERE number = ?"
    end = time.monotonic() + 90
    while worker.poll() is None and time.monotonic() < end:
        with contextlib.closing(sqlite3.connect(folder / "search.db", timeout=60)) as database:
            if database.execute(asked, (trial,)).fetchone():
                return
        time.sleep(0.02)


def test_tpe_comes_nearer_to_the_lowest_point_than_chance() -> None:
    def mean_of_last(kind: str, seed: int) -> float:
        study = optuna.create_study(sampler=search_study.sampler(kind, SPACE, seed))
        study.optimize(lambda trial: bowl(search_space.suggest(trial, SPACE)), n_trials=40)
        return sum(t.value or 0.0 for t in study.trials[-15:]) / 15

    means = {kind: sum(mean_of_last(kind, seed) for seed in range(5)) / 5 for kind in ("tpe", "random")}
    assert means["tpe"] < 0.6 * means["random"]


def test_the_best_is_the_lowest_score_and_belongs_to_its_values(tmp_path: Path) -> None:
    found = searched(store(tmp_path), 8)
    scores = [t.score for t in found.of("complete")]
    assert found.best is not None
    assert found.best.score == min(s for s in scores if s is not None)
    assert bowl(found.best.values) == pytest.approx(found.best.score)


@pytest.mark.parametrize("kind", ["random", "tpe"])
def test_a_search_in_parts_draws_what_an_unbroken_one_draws(kind: str, tmp_path: Path) -> None:
    for name in ("whole", "parts", "other"):
        (tmp_path / name).mkdir()
    whole = searched(store(tmp_path / "whole"), 14, kind=kind, seed=3)
    for total in (5, 6, 14):
        parts = searched(store(tmp_path / "parts"), total, kind=kind, seed=3)
    assert drawn(parts) == drawn(whole)
    assert len({str(values) for values in drawn(whole)}) == 14
    assert drawn(searched(store(tmp_path / "other"), 14, kind=kind, seed=4)) != drawn(whole)


def test_a_grid_visits_every_point_once_and_ends(tmp_path: Path) -> None:
    found = searched(store(tmp_path), 6, lambda trial, values: float(values["train.slices"]), space=SMALL, kind="grid")
    points = sorted((v["train.slices"], v["model.pool"]) for v in drawn(found))
    assert points == [(s, p) for s in (1, 2, 3) for p in ("max", "mean")]


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
def test_trials_that_fall_behind_are_pruned_and_keep_their_last_value(pruner: str, tmp_path: Path) -> None:
    lengths = []

    def learning(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        for epoch in range(1, 11):
            lengths.append(trial.number)
            trial.report(bowl(values) + 1 / epoch, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return bowl(values)

    lines: list[str] = []
    found = searched(store(tmp_path), 30, learning, pruner=pruner, say=lines.append)
    complete, pruned = found.of("complete"), found.of("pruned")
    assert len(complete) + len(pruned) == 30
    assert len(pruned) >= 5
    counts = Counter(lengths)
    for trial in pruned:
        assert len(trial.steps) == counts[trial.number] < 10
        assert trial.score == trial.steps[max(trial.steps)]
    mean = [sum(bowl(t.values) for t in group) / len(group) for group in (complete, pruned)]
    assert mean[0] < mean[1]
    assert sum("pruned at step" in line for line in lines) == len(pruned)
    assert all("; best " in line for line in lines)


def test_failed_trials_are_kept_with_their_reason_and_the_search_goes_on(tmp_path: Path) -> None:
    def broken(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        if values["model.encoder"] == "resnet18":
            raise TrainingError(f"The loss of trial {trial.number} became nan.")
        return bowl(values)

    lines: list[str] = []
    found = searched(store(tmp_path), 12, broken, say=lines.append)
    failed = found.of("failed")
    assert 0 < len(failed) < 12
    assert len(found.of("complete")) == 12 - len(failed)
    assert [t.reason for t in failed] == [f"The loss of trial {t.number} became nan." for t in failed]
    assert all(t.values["model.encoder"] == "resnet18" for t in failed)
    assert sum("failed: The loss" in line for line in lines) == len(failed)
    assert len(searched(store(tmp_path), 12, broken).trials) == 12


def test_a_fault_of_the_program_is_not_taken_for_a_failed_trial(tmp_path: Path) -> None:
    def faulty(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        searched(store(tmp_path), 3, faulty)
    assert searched(store(tmp_path), 1).trials[0].reason == "ValueError: a fault"


def test_an_interrupted_trial_is_tried_again_with_its_values(tmp_path: Path) -> None:
    def stopped(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        if trial.number == 2:
            raise KeyboardInterrupt
        return bowl(values)

    with pytest.raises(KeyboardInterrupt):
        searched(store(tmp_path), 4, stopped)
    found = searched(store(tmp_path), 4)
    assert [t.state for t in found.trials] == ["complete", "complete", "stopped", "complete", "complete"]
    assert found.trials[3].values == found.trials[2].values
    assert "tried again as trial 3" in found.trials[2].reason


def test_a_trial_killed_half_way_is_marked_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "hold-2").touch()
    worker = begin(store(tmp_path), 4, "random", 0.0, tmp_path / "begun")
    wait_for(tmp_path / "begun" / "2", worker)
    wait_for_life(tmp_path, 2, worker)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    lines: list[str] = []
    found = searched(store(tmp_path), 4, say=lines.append)
    (killed,) = found.of("stopped")
    assert killed.number == 2
    again = next(t for t in found.trials if f"tried again as trial {t.number}" in killed.reason)
    assert again.values == killed.values
    assert len(found.of("complete")) == 4
    assert any(line.startswith("Waiting for 1 trials") for line in lines)


def test_a_trial_that_kills_its_process_each_time_is_given_up(tmp_path: Path) -> None:
    address = store(tmp_path)
    searched(address, 1)
    for _ in range(4):
        folder = tmp_path / "begun"
        before = len(list(folder.glob("*")))
        worker = begin(address, 2, "random", 60, folder)
        end = time.monotonic() + 60
        while len(list(folder.glob("*"))) == before and worker.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        wait_for_life(tmp_path, before + 1, worker)
        if worker.poll() is not None:
            break
        worker.kill()
        worker.communicate()
    worker.communicate()
    found = searched(address, 2)
    assert [t.state for t in found.trials] == ["complete", "stopped", "stopped", "failed"]
    assert found.trials[3].reason == "its process ended before it did"
    assert len({str(values) for values in drawn(found)[1:]}) == 1


@pytest.mark.parametrize(("kind", "total"), [("random", 16), ("grid", 6)])
def test_two_workers_share_one_file_and_do_no_trial_too_many(kind: str, total: int, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    workers = [begin(store(tmp_path), total, kind, 0.1, folder, 2) for folder in folders]
    said = [worker.communicate(timeout=200)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    done = [len(list(folder.glob("*"))) for folder in folders]
    assert sum(done) == total
    assert min(done) > 0
    space = SMALL if kind == "grid" else SPACE
    found = searched(store(tmp_path), total, space=space, kind=kind)
    assert [t.state for t in found.trials] == ["complete"] * total
    assert len({str(values) for values in drawn(found)}) == total


def test_a_trial_that_was_taken_for_dead_does_not_end_its_worker(tmp_path: Path) -> None:
    def silent(trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        if trial.number == 1:
            trial.study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            search_study.retry()(trial.study, trial.study.trials[1])
            trial.report(0.0, 1)
        return bowl(values)

    lines: list[str] = []
    found = searched(store(tmp_path), 3, silent, say=lines.append)
    assert [t.state for t in found.trials].count("complete") == 3
    assert any("was taken for dead" in line for line in lines)


def test_a_study_of_another_kind_is_refused(tmp_path: Path) -> None:
    searched(store(tmp_path), 2)
    address = search_study.url(store(tmp_path), tmp_path)
    draws, prunes = search_study.sampler("random", SPACE, 0), search_study.pruner("none", 1)
    asked = {"metric": "auc", "folds": 5}
    with (
        pytest.raises(UsageError, match="another metric, folds;"),
        search_study.opened(address, "made", False, asked, draws, prunes),
    ):
        pass
