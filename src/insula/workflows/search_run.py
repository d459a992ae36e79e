"""The loop of a search: trials are begun until enough of them count, whoever runs them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from insula.core.errors import InsulaError, TrainingError
from insula.workflows import search_space, search_study
from insula.workflows.search_space import Space
from insula.workflows.search_study import counted, is_surplus, retry

Objective = Callable[[optuna.Trial, Mapping[str, Any]], float]
REASON = "reason"


class _TrialError(Exception):
    """A trial that failed for a reason which is kept with it."""


def run(
    study: optuna.Study,
    space: Space,
    objective: Objective,
    total: int,
    *,
    timeout: float | None = None,
    grace: float = search_study.GRACE,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Begin trials until `total` of them count; those of other workers count too.

    A trial that raises an InsulaError is kept as failed with its reason. One whose process has died is tried again once
    its last sign of life is `grace` seconds old, which is waited for at the end. timeout: seconds after which no new
    trial begins.
    """
    end = None if timeout is None else time.monotonic() + timeout
    waited: float | None = None
    while end is None or time.monotonic() < end:
        try:
            with _quiet():
                optuna.storages.fail_stale_trials(study)
            known = study.get_trials(deepcopy=False)
            if len(counted(known)) < total:
                waited = None
                _one(study, space, objective, total, say)
                continue
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = type(error.__cause__ or error).__name__
            raise TrainingError(
                f"The store of the search no longer answers ({cause}); run the same command again to go on."
            ) from None
        running = [t.number for t in known if t.state == TrialState.RUNNING]
        if not running:
            return
        if waited is None:
            waited = time.monotonic()
            say(f"Waiting for {len(running)} trials that others have begun, at most {grace:.0f} s without a sign.")
        if time.monotonic() - waited > grace + 2:
            say(f"{len(running)} trials still run elsewhere; run this command again for the page with all of them.")
            return
        time.sleep(min(1.0, grace / 4))


def _one(study: optuna.Study, space: Space, objective: Objective, total: int, say: Callable[[str], None]) -> None:
    begun: list[int] = []

    def guarded(trial: optuna.Trial) -> float:
        begun.append(trial.number)
        if is_surplus(trial, total):
            raise _TrialError
        values = search_space.suggest(trial, space)
        try:
            return objective(trial, values)
        except (InsulaError, MemoryError) as error:
            trial.set_user_attr(REASON, str(error) or type(error).__name__)
            raise _TrialError from error
        except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
            raise
        except Exception as error:
            trial.set_user_attr(REASON, f"{type(error).__name__}: {error}")
            raise

    try:
        with _quiet():
            study.optimize(guarded, n_trials=1, catch=(_TrialError,))
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if not begun or REASON in study.trials[begun[0]].user_attrs:
            raise
        say(f"[trial {begun[0]}] was taken for dead, since it gave no sign of life; another takes its place.")
        return
    except KeyboardInterrupt:
        if begun and (last := study.trials[begun[0]]).state == TrialState.FAIL:
            with _quiet():
                retry()(study, last)
        raise
    known = study.get_trials(deepcopy=False)
    if any(t.number == begun[0] for t in counted(known)):
        say(_line(study, known[begun[0]], known, total))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


def _line(study: optuna.Study, trial: FrozenTrial, known: list[FrozenTrial], total: int) -> str:
    ended = [t for t in counted(known) if t.state.is_finished()]
    what = f"{trial.value:.4f}" if trial.state == TrialState.COMPLETE and trial.value is not None else ""
    if trial.state == TrialState.PRUNED:
        what = f"pruned at step {trial.last_step}"
    elif trial.state == TrialState.FAIL:
        what = f"failed: {trial.user_attrs.get(REASON, 'see above')}"
    values = ", ".join(f"{key.rpartition('.')[2]} {_short(value)}" for key, value in trial.params.items())
    took = f"{trial.duration.total_seconds():.1f} s" if trial.duration else ""
    complete = [t for t in known if t.state == TrialState.COMPLETE]
    best = f"; best {study.best_value:.4f} of trial {study.best_trial.number}" if complete else ""
    return f"[trial {trial.number}, {len(ended)}/{total}] {what} ({values}), {took}{best}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
