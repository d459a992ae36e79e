from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.serve.training.made_run import BEGUN, curve, made, put

from insula.serve.training.read import QUIET, _moment, read

pytestmark = pytest.mark.serve
START = datetime.fromtimestamp(BEGUN, UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_run_at_work_says_how_far_it_is_and_for_how_long_at_most(tmp_path: Path) -> None:
    made(tmp_path, "run", [0.5, 0.3, 0.4])
    found = read(tmp_path, "run", at(100))
    assert (found.state, found.kind, found.recipe) == ("at work", "training", "tiny-ct")
    assert (found.done, found.most, found.patience) == (3, 6, 2)
    assert found.best is not None
    assert (found.best.number, found.best.values["val_loss"], found.since_best) == (2, 0.3, 1)
    assert found.epochs[0].values == {"val_loss": 0.5, "train_loss": 0.6, "lr": 0.001, "stage": 1.0}
    assert (found.begun, found.last) == (START, at(90))
    assert found.seconds == pytest.approx(30.0)
    assert found.seconds_left == pytest.approx(90.0)


def test_it_counts_as_stopped_once_it_is_quiet_for_longer_than_its_epochs_take(tmp_path: Path) -> None:
    made(tmp_path, "quick", [0.5, 0.3], seconds=30)
    made(tmp_path, "slow", [0.5, 0.3], seconds=3600)
    assert read(tmp_path, "quick", at(60 + QUIET - 1)).state == "at work"
    quiet = read(tmp_path, "quick", at(60 + QUIET + 1))
    assert (quiet.state, quiet.seconds_left) == ("stopped", None)
    assert read(tmp_path, "slow", at(7200 + 4 * 3600 - 1)).state == "at work"
    assert read(tmp_path, "slow", at(7200 + 4 * 3600 + 1)).state == "stopped"


def test_a_record_of_all_its_epochs_makes_it_done_and_one_of_fewer_does_not(tmp_path: Path) -> None:
    folder = made(tmp_path, "run", [0.5, 0.3], epochs=2, facts={"epochs": 2, "machine": "a machine"})
    found = read(tmp_path, "run", at(99_999))
    assert (found.state, found.facts["machine"]) == ("done", "a machine")
    curve(folder / "curves-2", [0.2], BEGUN + 500, 30, first=2)
    assert read(tmp_path, "run", at(510)).state == "at work", "it was resumed with more epochs"


def test_a_resumed_part_counts_where_it_did_an_epoch_again(tmp_path: Path) -> None:
    folder = made(tmp_path, "run", [0.5, 0.4, 9.0])
    curve(folder / "curves-2", [0.35, 0.3], BEGUN + 900, 50, first=2)
    found = read(tmp_path, "run", at(960))
    assert [one.number for one in found.epochs] == [1, 2, 3, 4]
    assert [one.values["val_loss"] for one in found.epochs] == [0.5, 0.4, 0.35, 0.3]
    assert found.seconds == pytest.approx(50.0), "the pace is that of the newest part"


@pytest.mark.parametrize(
    "tail", ["3,", "3,,,9,", "three,,,9,,0.1", ",,,,,", "-2,,,9,,0.1", "inf,,,9,,0.1", "nan,,,9,,0.1", "1e300,,,9,,0.1"]
)
def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path, tail: str) -> None:
    folder = made(tmp_path, "run", [0.5, 0.4])
    table = folder / "curves" / "metrics.csv"
    put(table, table.read_text(encoding="utf-8") + tail, BEGUN + 60)
    assert read(tmp_path, "run", at(60)).done == 2


def test_a_run_without_a_line_or_with_an_odd_file_is_still_shown(tmp_path: Path) -> None:
    made(tmp_path, "new", [])
    folder = made(tmp_path, "odd", [float("nan")])
    put(folder / "recipe.yaml", "name: [", BEGUN)
    put(folder / "run.json", "{", BEGUN)
    empty = made(tmp_path, "empty", [0.5])
    put(empty / "curves" / "metrics.csv", "", BEGUN)
    new, odd = read(tmp_path, "new", at(1)), read(tmp_path, "odd", at(40))
    assert (new.state, new.done, new.best, new.seconds) == ("at work", 0, None, None)
    assert (odd.recipe, odd.most, odd.best, odd.facts) == ("", None, None, {})
    assert read(tmp_path, "empty", at(1)).done == 0


def test_pretraining_has_epochs_of_its_own_and_no_validation_loss(tmp_path: Path) -> None:
    folder = made(tmp_path, "run", [])
    (folder / "trained-on.json").unlink()
    (folder / "curves").mkdir()
    put(folder / "curves" / "metrics.csv", "epoch,step,train_loss,lr\n0,5,2.5,0.001\n", BEGUN + 9)
    found = read(tmp_path, "run", at(20))
    assert (found.kind, found.most, found.patience, found.best) == ("pretraining", 50, None, None)
    assert found.epochs[0].values == {"train_loss": 2.5, "lr": 0.001}


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = made(tmp_path, "run", [0.5, 0.4])
    curve(folder / "curves-2", [0.3], BEGUN + 90, 30, first=2)
    table = folder / "curves-2" / "metrics.csv"
    put(table, table.read_text(encoding="utf-8") + "3,,,9,," + "1" * 200_000, BEGUN + 90)
    found = read(tmp_path, "run", at(95))
    assert (found.done, found.faults) == (2, ("curves-2/metrics.csv",))
    put(table, "x" * 10, BEGUN + 90)
    os.truncate(table, (16 << 20) + 1)
    assert read(tmp_path, "run", at(95)).faults == ("curves-2/metrics.csv",)


@pytest.mark.parametrize("deep", [2_000, 300_000])
def test_files_that_are_nested_without_end_are_no_end_of_the_service(tmp_path: Path, deep: int) -> None:
    folder = made(tmp_path, "run", [0.5])
    put(folder / "run.json", "[" * deep + "]" * deep, BEGUN)
    for opened, closed in ("[]", ("{a: ", "}"), ("- ", "")):
        put(folder / "recipe.yaml", "name: " * (opened != "- ") + opened * deep + closed * deep, BEGUN + deep)
        found = read(tmp_path, "run", at(40))
        assert (found.recipe, found.facts, found.faults) == ("", {}, ("recipe.yaml", "run.json")), opened


def test_a_time_that_no_calendar_has_is_its_end() -> None:
    assert (_moment(1e15).year, _moment(-1e15).year) == (9999, 1970)  # some file systems keep such
