"""Where a run's curves go beside the CSV file that is always written: TensorBoard, MLflow, Weights & Biases.

A tracker gets the recipe's keys, the metrics of each epoch and where the run's files lie. It gets no case, no patient,
no picture, no console output, no command line and no code. Reports about their own use that MLflow and W&B send to
their makers are switched off, unless the environment says otherwise.
"""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from insula.core.errors import MissingPartError, UsageError
from insula.core.provenance import write_text
from insula.core.recipe import Recipe

FILES = ("recipe.yaml", "run.json", "weights.safetensors", "checkpoints/best.ckpt", "curves/metrics.csv")
_IDS = "{}-run.txt"
_LONGEST = 250  # characters of a value that Lightning hands to MLflow


def check(names: Sequence[str]) -> None:
    """Refuse what `loggers` could not make: UsageError for an unknown name, MissingPartError for a missing package."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"There is no tracker '{name}'; choose from {', '.join(TRACKERS)}.")
        for module in _NEEDS[name]:
            if find_spec(module) is None:
                raise MissingPartError(
                    f"The tracker '{name}' needs the package '{module}', which is not installed; "
                    "run: pip install 'insula[track]'."
                )


def loggers(names: Sequence[str], folder: Path, recipe: Recipe) -> list[Logger]:
    """One logger for each named tracker, told the recipe's keys and where the run's files lie.

    TensorBoard writes to `folder/tensorboard`. MLflow writes to MLFLOW_TRACKING_URI, or else to `folder/mlflow.db`. W&B
    writes to `folder/wandb`, and sends nothing unless WANDB_MODE says so. A resumed run goes on in the same MLflow and
    W&B run. Raises what `check` raises.
    """
    check(names)
    made: list[Logger] = []
    for name in dict.fromkeys(names):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what these packages import
            logger = TRACKERS[name](folder, recipe)
            logger.log_hyperparams({**settings(recipe), **places(folder)})
        made.append(logger)
    return made


def settings(recipe: Recipe) -> dict[str, str | int | float | bool]:
    """Each key of the recipe that holds a plain value, under its dotted name; lists are written as text."""
    found: dict[str, str | int | float | bool] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif value is not None:
            found[prefix] = value if isinstance(value, str | int | float | bool) else str(value)

    walk("", recipe.model_dump(mode="json", by_alias=True))
    return found


def places(folder: Path) -> dict[str, str]:
    """The run's folder as it was given, and its files relative to it."""
    return {"folder": str(folder), **{f"files.{name.replace('/', '.')}": name for name in FILES}}


class _Mlflow(MLFlowLogger):
    """Takes a resumed run whose recipe has changed: MLflow keeps the first value of a key, and the new one is a tag."""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Write the keys that the run does not hold yet."""
        params = vars(params) if isinstance(params, Namespace) else params
        held = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({k: v for k, v in params.items() if k not in held})
        for key, value in params.items():
            if key in held and held[key] != str(value)[:_LONGEST]:
                self.experiment.set_tag(self.run_id, f"resumed.{key}", str(value))


class _Wandb(WandbLogger):
    """Ends its W&B run with the training run, so that the next one in the same process gets its own."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, whatever its value

    def finalize(self, status: str) -> None:
        """Close the run's file."""
        super().finalize(status)
        run, self._experiment = self._experiment, None
        if run is not None:
            run.finish(exit_code=0 if status == "success" else 1)


def _tensorboard(folder: Path, recipe: Recipe) -> Logger:
    return TensorBoardLogger(folder, name="tensorboard", version="", default_hp_metric=False)


def _mlflow(folder: Path, recipe: Recipe) -> Logger:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow  # noqa: F401 - it sets the levels of its logs when it is imported

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    remote = os.environ.get("MLFLOW_TRACKING_URI", "")
    folder.mkdir(parents=True, exist_ok=True)
    store = remote or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
    logger = _Mlflow(
        experiment_name=recipe.name,
        run_name=folder.name,
        tracking_uri=store,
        artifact_location=None if remote else (folder.absolute() / "mlflow").as_uri(),
        run_id=_known(store, _remembered(folder, "mlflow")),
    )
    if logger.run_id:  # None in all processes of a run but the first
        write_text(folder / _IDS.format("mlflow"), logger.run_id)
    return logger


def _known(store: str, run: str | None) -> str | None:
    """The run's id where the store has it; another store may have been chosen since."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    try:
        return run and MlflowClient(store).get_run(run).info.run_id
    except MlflowException:
        return None


def _wandb(folder: Path, recipe: Recipe) -> Logger:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    mode = os.environ.get("WANDB_MODE", "offline")
    own = _remembered(folder, "wandb") or secrets.token_hex(4)
    if getattr(rank_zero_only, "rank", 0) == 0:
        write_text(folder / _IDS.format("wandb"), own)
    quiet = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        save_code=False,
        silent=mode != "online",
        x_disable_machine_info=True,
        x_disable_meta=True,
    )
    return _Wandb(name=folder.name, save_dir=folder, id=own, project=recipe.name, mode=mode, settings=quiet)


def _remembered(folder: Path, name: str) -> str | None:
    path = folder / _IDS.format(name)
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


TRACKERS: dict[str, Callable[[Path, Recipe], Logger]] = {
    "tensorboard": _tensorboard,
    "mlflow": _mlflow,
    "wandb": _wandb,
}
_NEEDS = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}
