"""What a run says on its way, and where the curves of each of its parts lie."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("lightning")

from insula.train.lines import BatchBar, EpochLines, curves

pytestmark = pytest.mark.train


def test_each_part_of_a_resumed_run_has_curves_of_its_own(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        names.append(curves(tmp_path))
        (tmp_path / names[-1]).mkdir()
        (tmp_path / names[-1] / "metrics.csv").write_text("epoch\n")
    assert names == ["curves", "curves-2", "curves-3"]


def test_a_run_that_was_killed_before_its_first_epoch_has_its_curves_where_they_are_looked_for(tmp_path: Path) -> None:
    (tmp_path / curves(tmp_path)).mkdir()
    assert curves(tmp_path) == "curves"


def test_an_epoch_that_takes_long_has_a_line_that_is_wiped_and_counts_from_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("insula.train.lines.time", SimpleNamespace(monotonic=lambda: now[0]))
    trainer: Any = SimpleNamespace(
        num_training_batches=4,
        current_epoch=0,
        max_epochs=2,
        callback_metrics={"train_loss": 0.5, "val_loss": 0.25},
    )
    said: list[str] = []
    bar, lines = BatchBar(), EpochLines(said.append)

    def epoch(seconds: float) -> str:
        bar.on_train_epoch_start(trainer, trainer)
        for number in range(4):
            now[0] += seconds
            bar.on_train_batch_end(trainer, trainer, None, None, number)
        lines.on_train_epoch_end(trainer, trainer)
        return capsys.readouterr().err

    assert epoch(0.1) == ""
    shown = epoch(3.0)
    assert "\r  epoch 1/2: 1 of 4 batches, 9 s left" in shown
    assert shown.endswith("\r" + " " * 78 + "\r")
    assert "v_num" not in shown
    assert said == ["  epoch 1/2: training loss 0.5000, validation loss 0.2500"] * 2


def test_a_line_that_is_shown_is_wiped_before_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("insula.train.lines._SHORT", 0.0)
    trainer: Any = SimpleNamespace(num_training_batches=4, current_epoch=0, max_epochs=2)
    bar = BatchBar()
    bar.on_train_epoch_start(trainer, trainer)
    bar.on_train_batch_end(trainer, trainer, None, None, 0)
    bar.on_exception(trainer, trainer, KeyboardInterrupt())
    assert capsys.readouterr().err.endswith(" \r")
