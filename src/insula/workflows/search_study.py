"""The study behind a search: its store, its sampler, its pruner, and which trials count."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from insula.core.errors import MissingPartError, UsageError
from insula.workflows import search_space
from insula.workflows.search_space import Space

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "hyperband", "none")
HEARTBEAT, GRACE = 15, 60  # seconds between two signs of life of a trial, and without one until it is given up
_RETRIES = 2
_TRIES = 8
_FACTS, _SURPLUS = "facts", "surplus"

retry = optuna.storages.RetryHeartbeatStaleTrialCallback


class Reseeded(BaseSampler):
    """A sampler that is made anew for each trial, from the seed and the trial's number.

    So no two workers draw the same values, and a search that was stopped goes on as an unbroken one would.
    """

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed
        self._own: BaseSampler = optuna.samplers.RandomSampler(seed)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial."""
        seed = (self.seed * 1_000_003 + trial.number) % 2**31
        make = optuna.samplers.TPESampler if self.kind == "tpe" else optuna.samplers.RandomSampler
        self._own = make(seed=seed)
        self._own.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """As the trial's own sampler."""
        return self._own.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the trial's own sampler."""
        return self._own.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the trial's own sampler."""
        return self._own.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the trial's own sampler."""
        self._own.after_trial(study, trial, state, values)


def sampler(kind: str, space: Space, seed: int) -> BaseSampler:
    """A sampler by its name; UsageError for an unknown one, RecipeError where the space makes no grid."""
    if kind not in SAMPLERS:
        raise UsageError(f"There is no sampler '{kind}'; choose from {', '.join(SAMPLERS)}.")
    if kind == "grid":
        return optuna.samplers.GridSampler(search_space.grid(space), seed=seed)
    return Reseeded(kind, seed)


def pruner(kind: str, steps: int) -> optuna.pruners.BasePruner:
    """A pruner by its name, for trials of so many steps (epochs, or folds).

    median: from the sixth trial on, after a fifth of the steps, a trial whose best value is worse than the median of
    the others at that step ends. hyperband: as Li et al. (2018), with a third of the trials going on at each rung.
    """
    if kind == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=steps // 5)
    if kind == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, steps // 9), max_resource=steps, reduction_factor=3)
    if kind == "none":
        return optuna.pruners.NopPruner()
    raise UsageError(f"There is no pruner '{kind}'; choose from {', '.join(PRUNERS)}.")


def url(store: str, folder: Path) -> URL:
    """The store's address, by default a SQLite file in the folder.

    UsageError, without the address in it, for what is neither SQLite nor PostgreSQL.
    """
    if not store:
        folder.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(folder / "search.db"))
    try:
        found = make_url(store)
    except ArgumentError:
        raise UsageError(
            "The address of --store cannot be read; write sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE."
        ) from None
    backend = found.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise UsageError(f"A store of '{backend}' cannot be used; give one of sqlite or postgresql.")
    if backend == "sqlite" and found.database in (None, "", ":memory:"):
        raise UsageError("A store in memory cannot be gone on with; write sqlite:///FILE.")
    if found.drivername == "postgresql":
        found = found.set(drivername="postgresql+psycopg")
    if found.drivername == "postgresql+psycopg" and find_spec("psycopg") is None:
        raise MissingPartError("A PostgreSQL store needs its driver; run: pip install 'insula[postgres]'.")
    return found


def shown(address: URL) -> str:
    """A store's address as it may stand in logs and pages: without user, password and options."""
    if address.get_backend_name() == "sqlite":
        return f"sqlite:///{address.database}"
    port = f":{address.port}" if address.port else ""
    return f"{address.get_backend_name()}://{address.host or ''}{port}/{address.database or ''}"


@contextmanager
def opened(
    address: URL,
    name: str,
    maximise: bool,
    facts: Mapping[str, Any],
    draws: BaseSampler,
    prunes: optuna.pruners.BasePruner,
    *,
    heartbeat: int = HEARTBEAT,
    grace: int = GRACE,
) -> Iterator[optuna.Study]:
    """The study of that name in the store, made where there is none; the store is closed at the end.

    facts: what all its trials have in common, kept in the study. A study that was made with others is refused with
    UsageError that names what differs, and so is a store that does not answer.
    """
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    wanted = {key: str(value) for key, value in facts.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = _storage(address, heartbeat, grace)
    try:
        yield _study(storage, address, name, maximise, wanted, draws, prunes)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _study(
    storage: optuna.storages.RDBStorage,
    address: URL,
    name: str,
    maximise: bool,
    wanted: Mapping[str, str],
    draws: BaseSampler,
    prunes: optuna.pruners.BasePruner,
) -> optuna.Study:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            direction="maximize" if maximise else "minimize",
            sampler=draws,
            pruner=prunes,
            load_if_exists=True,
        )
    held = study.user_attrs.get(_FACTS)
    if held is None:
        study.set_user_attr(_FACTS, dict(wanted))
    elif differing := [key for key in {**held, **wanted} if held.get(key) != wanted.get(key)]:
        raise UsageError(
            f"The study '{name}' in {shown(address)} was made with another {', '.join(differing)}; its trials cannot "
            "be compared with new ones: give another --study-name, or another --out."
        )
    return study


def _storage(address: URL, heartbeat: int, grace: int) -> optuna.storages.RDBStorage:
    options: dict[str, Any] = {"pool_pre_ping": True}
    if address.get_backend_name() == "sqlite":
        Path(str(address.database)).absolute().parent.mkdir(parents=True, exist_ok=True)
        options = {"connect_args": {"timeout": 120}}
    for attempt in range(_TRIES):
        try:
            return optuna.storages.RDBStorage(
                address.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=heartbeat,
                grace_period=grace,
                heartbeat_stale_trial_callback=retry(max_retry=_RETRIES),
            )
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            last = type(getattr(error, "orig", None) or error).__name__
        time.sleep(0.1 * (attempt + 1))  # another worker may be making the tables
    raise UsageError(
        f"The store {shown(address)} does not open ({last}); check that it runs, its name, user and password."
    )


def counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that count towards the number that was asked for.

    Not those that wait to be tried again, those that were tried again since, and those that were one too many.
    """
    again = {number for t in trials for number in t.system_attrs.get("retry_history", ())}
    return [
        t for t in trials if t.state != TrialState.WAITING and t.number not in again and _SURPLUS not in t.user_attrs
    ]


def is_surplus(trial: optuna.Trial, total: int) -> bool:
    """Whether workers that asked at the same moment have begun one trial too many, and it is this one."""
    known = counted(trial.study.get_trials(deepcopy=False))
    others = [t for t in known if t.number < trial.number]
    point = next((t.system_attrs.get("grid_id") for t in known if t.number == trial.number), None)
    twice = point is not None and any(t.system_attrs.get("grid_id") == point for t in others)
    if len(others) >= total or twice:
        trial.set_user_attr(_SURPLUS, True)
        return True
    return False
