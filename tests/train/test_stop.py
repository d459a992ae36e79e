"""A training that is ended from outside says so, keeps its epochs, and ends with the signal's code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("lightning")

from lightning.pytorch.callbacks import Callback
from tests.train import made_patients

from insula.cli import main
from insula.cli.training import train as verb
from insula.core.stopped import StoppedError
from insula.train.fit import fit
from insula.train.stop import stoppable

pytestmark = pytest.mark.train

PATIENTS = made_patients.cohort(12)


class Signalled(Callback):
    """Sends this process a signal in the second epoch."""

    def __init__(self, sign: signal.Signals) -> None:
        self.sign = sign

    def on_train_batch_start(self, trainer: Any, *_: object) -> None:
        if trainer.current_epoch == 1:
            os.kill(os.getpid(), self.sign)


@pytest.mark.parametrize(("sign", "code", "by"), [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")])
def test_a_training_that_is_stopped_says_how_to_go_on_and_goes_on(
    sign: signal.Signals,
    code: int,
    by: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["insula", "train", "split.csv", "--recipe", "x", "--out", "a run"])
    recipe, caches = made_patients.recipe("train.epochs=3"), made_patients.prepared(PATIENTS)
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]

    def stopped(**_: object) -> None:
        fit(PATIENTS, recipe, tmp_path, tmp_path, prepared=caches, callbacks=[Signalled(sign)], accelerator="cpu")

    monkeypatch.setattr(verb, "callback", stopped)
    with pytest.raises(SystemExit) as end:
        main.run()
    assert end.value.code == code
    told = capsys.readouterr().err
    assert f"insula: Training was stopped by {by}" in told
    assert f"its last finished epoch is kept in '{tmp_path}'" in told
    assert "Go on with: insula train split.csv --recipe x --out 'a run' --resume\nMore: insula docs training\n" in told
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
    run = fit(PATIENTS, recipe, tmp_path, tmp_path, prepared=caches, resume=True, accelerator="cpu")
    assert run.epochs == 3


def test_a_signal_after_the_last_batch_is_not_passed_over_and_another_end_is_left_alone(tmp_path: Path) -> None:
    def around(received: bool, then: Callable[[], None]) -> None:
        with stoppable(SimpleNamespace(received_sigterm=received), tmp_path):  # type: ignore[arg-type]
            then()

    around(False, lambda: None)
    with pytest.raises(StoppedError, match="before its first epoch was done") as end:
        around(True, lambda: None)
    assert end.value.exit_code == 143
    with pytest.raises(SystemExit) as other:
        around(False, lambda: sys.exit(7))
    assert other.value.code == 7
