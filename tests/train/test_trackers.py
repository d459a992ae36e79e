from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.made_arrays import cohort, recipe

from insula.core.errors import MissingPartError, UsageError
from insula.core.types import Cohort
from insula.train import trackers
from insula.train.fit import fit

pytestmark = pytest.mark.train
HERE = tuple(name for name, parts in trackers._NEEDS.items() if all(find_spec(part) for part in parts))


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(name not in HERE, reason=f"the packages of the tracker '{name}' are not installed")


def named(root: Path) -> Cohort:
    """The made cohort with patients, cases and files whose names are found wherever they are written."""
    (root / "scans").mkdir(parents=True)
    table = cohort(root / "scans", 12)
    cases = []
    for i, case in enumerate(table.cases):
        scan = case.scans["mri"]
        name = f"file-of-mrs-{i}.npy"
        (root / "scans" / scan.paths[0]).rename(root / "scans" / name)
        held = {"mri": replace(scan, paths=(name,), series_uid=f"1.2.826.77.{i}")}
        cases.append(replace(case, key=f"case-of-mrs-{i}", patient=f"patient-mrs-{i}", scans=held))
    return replace(table, cases=tuple(cases))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of two epochs under every tracker that is installed, and then resumed for a third."""
    root = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
            patch.delenv(variable, raising=False)
        patch.setattr("sys.argv", ["insula", "train", "case-of-mrs-0.csv"])
        table = named(root)
        fit(table, recipe("train.epochs=2"), root / "run", root / "cache", trackers=HERE)
        fit(table, recipe("train.epochs=3"), root / "run", root / "cache", trackers=HERE, resume=True)
        yield root / "run"


def losses(run: Path) -> list[float]:
    parts = [run / "curves", run / "curves-2"]
    rows = [row for part in parts for row in csv.DictReader((part / "metrics.csv").read_text().splitlines())]
    return [float(row["val_loss"]) for row in rows if row["val_loss"]]


def test_the_csv_file_has_every_epoch(runs: Path) -> None:
    assert len(losses(runs)) == 3


@needs("tensorboard")
def test_tensorboard_has_the_values_of_the_csv_file_and_the_recipe(runs: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = reader.EventAccumulator(str(runs / "tensorboard"))
    events.Reload()
    found = events.Scalars("val_loss")
    assert [e.value for e in found] == pytest.approx(losses(runs), rel=1e-6)
    assert [e.step for e in found] == sorted({e.step for e in found})
    assert {"train_loss", "lr", "epoch"} <= set(events.Tags()["scalars"])
    assert "model.encoder: simple_cnn" in (runs / "tensorboard/hparams.yaml").read_text()


@needs("mlflow")
def test_mlflow_goes_on_in_one_run_with_values_recipe_and_files(runs: Path) -> None:
    with sqlite3.connect(runs / "mlflow.db") as store:

        def ask(query: str) -> list[tuple[Any, ...]]:
            return store.execute(query).fetchall()

        assert ask("select status, name from runs") == [("FINISHED", "run")]
        found = ask("select value from metrics where key = 'val_loss' order by step")
        assert [row[0] for row in found] == pytest.approx(losses(runs), rel=1e-6)
        held = dict(ask("select key, value from params"))
        assert held["train.lr"] == "0.003"
        assert held["train.epochs"] == "2"
        assert held["files.weights.safetensors"] == "weights.safetensors"
        assert held["folder"] == str(runs)
        assert ("resumed.train.epochs", "3") in ask("select key, value from tags")
    store.close()


def logged(path: Path) -> Iterator[bytes]:
    """The records of a W&B file: blocks of 32 KiB, pieces with checksum, length, and which piece it is."""
    data, at, record = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        record += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):
            yield record
            record = b""


@needs("wandb")
def test_wandb_stays_offline_under_one_id_with_the_values(runs: Path) -> None:
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    parts = sorted((runs / "wandb").glob("offline-run-*"))
    own = (runs / "wandb-run.txt").read_text()
    assert [p.name.rsplit("-", 1)[1] for p in parts] == [own, own]
    found: list[float] = []
    for part in parts:
        for data in logged(part / f"run-{own}.wandb"):
            items = proto.Record.FromString(data).history.item
            found += [float(i.value_json) for i in items if "val_loss" in (i.key, *i.nested_key)]
    assert found == pytest.approx(losses(runs), rel=1e-6)


def test_no_tracker_learns_of_a_case_a_patient_or_a_file(runs: Path) -> None:
    places = {"tensorboard": "tensorboard", "mlflow": "mlflow.db", "wandb": "wandb"}
    told = {name: runs / place for name, place in places.items() if name in HERE}
    for name, place in (told | {"csv": runs / "curves", "csv2": runs / "curves-2"}).items():
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]
        text = b"".join(p.read_bytes() for p in files)
        assert [word for word in (b"mrs-", b"1.2.826.77") if word in text] == [], name
        assert b"val_loss" in text, name
        if name in HERE:
            assert b"simple_cnn" in text, name


@needs("mlflow")
def test_mlflow_follows_its_variable_and_starts_anew_where_the_run_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'all.db'}")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "mlflow-run.txt").write_text("0" * 32)
    for logger in trackers.loggers(("mlflow", "mlflow"), folder, recipe()):
        logger.finalize("failed")
    assert not (folder / "mlflow.db").exists()
    with sqlite3.connect(tmp_path / "all.db") as store:
        assert store.execute("select run_uuid, status from runs").fetchall() == [
            ((folder / "mlflow-run.txt").read_text(), "FAILED")
        ]
    store.close()


def test_a_name_that_is_unknown_and_a_package_that_is_missing_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="no tracker 'neptune'; choose from tensorboard, mlflow, wandb"):
        trackers.loggers(("neptune",), tmp_path, recipe())
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    for name in trackers.TRACKERS:
        with pytest.raises(MissingPartError, match=rf"'{name}' needs .* pip install 'insula\[track\]'"):
            trackers.loggers((name,), tmp_path, recipe())
    assert trackers.loggers((), tmp_path, recipe()) == []
    assert list(tmp_path.iterdir()) == []
