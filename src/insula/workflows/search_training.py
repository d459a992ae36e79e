"""One trial of a search: a training run on the train split, or one for each fold, scored on validation patients."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch

from insula.cohort.split import folds as make_folds
from insula.core.errors import TrainingError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.prep.cache import Prepared, build_all
from insula.train.fit import fit
from insula.train.pace import total_epochs
from insula.workflows.search_metric import Metric
from insula.workflows.search_score import Watch
from insula.workflows.search_space import Space, with_values


def seen(cohort: Cohort) -> Cohort:
    """The cohort without its test cases, which no part of a search may open.

    Raises TrainingError where the train or the val split is empty.
    """
    cases = tuple(case for case in cohort.cases if case.split in ("train", "val"))
    kept = replace(cohort, cases=cases)
    if not kept.of_split("train") or not kept.of_split("val"):
        raise TrainingError(
            f"The cohort has {len(kept.of_split('train'))} train and {len(kept.of_split('val'))} val cases; "
            "run `insula split` on it first."
        )
    return kept


def inner_folds(cohort: Cohort, recipe: Recipe, k: int) -> list[Cohort]:
    """K cohorts of the train and val cases: each validates on another k-th of the patients and trains on the rest.

    Where patients are not known the folds are of cases. Raises SplitError for too few patients of a class.
    """
    kept = seen(cohort)
    made = make_folds(kept, recipe, k, "patient" if cohort.patient_ids else "picture")
    return [_validating(fold) for fold in made]


def _validating(fold: Cohort) -> Cohort:
    cases = (replace(c, split="val" if c.split == "test" else "train") for c in fold.cases if c.split)
    return replace(fold, cases=tuple(cases))


@dataclass(frozen=True)
class Training:
    """Trains one trial under `folder/trials`; gives its score.

    parts: the cohorts whose scores are averaged; of one alone the pruner sees each epoch, of several each fold.
    prepared: the caches of all cases, where no key of the space changes how they are prepared.
    """

    recipe: Recipe
    metric: Metric
    parts: tuple[Cohort, ...]
    folder: Path
    cache: Path
    prepared: Mapping[str, Prepared] | None
    bars: bool = False

    @property
    def steps(self) -> int:
        """How many values a trial reports to the pruner."""
        return len(self.parts) if len(self.parts) > 1 else total_epochs(self.recipe.train)

    def __call__(self, trial: optuna.Trial, values: Mapping[str, Any]) -> float:
        """Mean score of the parts; TrialPruned where the pruner ends the trial, InsulaError where it cannot go on."""
        recipe = with_values(self.recipe, values)
        home = self.folder / "trials" / f"{trial.number:04}"
        if home.exists():
            shutil.rmtree(home)
        scores: list[float] = []
        for number, part in enumerate(self.parts, start=1):
            single = len(self.parts) == 1
            watch = Watch(self.metric, recipe, _report(trial) if single else lambda epoch, value: None)
            run = home if single else home / f"fold-{number}"
            try:
                fit(part, recipe, run, self.cache, bars=self.bars, prepared=self.prepared, callbacks=(watch,))
            except torch.OutOfMemoryError as error:
                raise TrainingError("The device's memory did not suffice for this trial.") from error
            finally:
                _slim(run)
            scores.append(watch.result())
            if not single:
                _report(trial)(number, sum(scores) / len(scores))
        return sum(scores) / len(scores)


def training(
    cohort: Cohort,
    recipe: Recipe,
    space: Space,
    metric: Metric,
    folder: Path,
    cache: Path,
    k: int = 0,
    *,
    progress: Callable[[Iterable[Case]], Iterator[Case]] = iter,
    bars: bool = False,
) -> Training:
    """What `Training` needs, with the scans prepared once where all trials prepare them alike."""
    kept = seen(cohort)
    parts = tuple(inner_folds(cohort, recipe, k)) if k else (kept,)
    alike = not any(key.split(".")[0] == "inputs" for key in space)
    prepared = build_all(kept.cases, Path(kept.root), recipe, cache, progress) if alike else None
    return Training(recipe, metric, parts, folder, cache, prepared, bars)


def _report(trial: optuna.Trial) -> Callable[[int, float], None]:
    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    return report


def _slim(run: Path) -> None:
    """Keep recipe, curves and figures of a run; forty sets of weights and optimizer states would fill a disk."""
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    (run / "weights.safetensors").unlink(missing_ok=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
