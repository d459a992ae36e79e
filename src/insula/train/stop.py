"""What becomes of Ctrl-C and SIGTERM in training, which Lightning turns into a silent end with 1 or with 0."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning
from lightning.pytorch.utilities.exceptions import SIGTERMException

from insula.core.stopped import StoppedError
from insula.train.checkpoints import FOLDER


@contextmanager
def stoppable(trainer: lightning.Trainer, folder: Path) -> Iterator[None]:
    """Around `trainer.fit`: StoppedError, with what is kept, where a signal ended it."""
    try:
        yield
    except SIGTERMException:
        raise _stopped(signal.SIGTERM, folder) from None
    except SystemExit as error:  # how Lightning ends after a KeyboardInterrupt
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise _stopped(signal.SIGINT, folder) from None
    if trainer.received_sigterm:  # after the last batch, where Lightning does not look any more
        raise _stopped(signal.SIGTERM, folder)


def _stopped(sign: signal.Signals, folder: Path) -> StoppedError:
    by = "by Ctrl-C" if sign == signal.SIGINT else "by SIGTERM, from outside"
    if (folder / FOLDER / "last.ckpt").is_file():
        return StoppedError(sign, f"Training was stopped {by}; its last finished epoch is kept in '{folder}'.")
    return StoppedError(sign, f"Training was stopped {by} before its first epoch was done.")
