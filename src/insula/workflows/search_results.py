"""What a search found: its trials in words that last, and the files that are written of them."""

from __future__ import annotations

import csv
import io
import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from insula.core import cells, provenance
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.workflows.search_metric import Metric
from insula.workflows.search_space import Space, decoded, with_values
from insula.workflows.search_study import counted

State = Literal["complete", "pruned", "failed", "stopped", "running"]
_DIED = "its process ended before it did"
_FEWEST = 4  # trials with a value for importances
_STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Trial:
    """One trial. score: of a complete one, or the last value of a pruned one. steps: epoch or fold → value.

    state stopped: its process died and its values were tried again.
    """

    number: int
    state: State
    score: float | None
    values: Mapping[str, Any]
    seconds: float | None
    steps: Mapping[int, float]
    reason: str = ""


@dataclass(frozen=True)
class Search:
    """A search as it stands: the recipe that it began with, its trials by number, and the best complete one.

    importances: key → what it explains of the score's variance, scaled to sum to 1 (fANOVA, Hutter et al. 2014), pruned
    trials with their last value; empty where too few trials have one.
    about: store, sampler, pruner, seed, sizes.
    """

    recipe: Recipe
    study: str
    metric: Metric
    space: Space
    trials: tuple[Trial, ...]
    best: Trial | None
    importances: Mapping[str, float]
    about: Mapping[str, Any]

    def of(self, state: State) -> tuple[Trial, ...]:
        """The trials in one state."""
        return tuple(t for t in self.trials if t.state == state)

    @property
    def best_recipe(self) -> Recipe | None:
        """The recipe with the best trial's values."""
        return None if self.best is None else with_values(self.recipe, self.best.values)

    @property
    def optimism(self) -> str:
        """Why the best score is not what new patients will see."""
        many = len(self.of("complete")) + len(self.of("pruned"))
        way = "upwards" if self.metric.maximise else "downwards"
        return (
            f"The best validation score of {many} trials is biased {way}, so it looks better than it is: the same "
            "validation patients chose it, part of it is luck, and the more trials the more. The honest figure comes "
            "from the test split, opened once after the search, or from nested folds, with a search of its own in each."
        )


def of_study(study: optuna.Study, space: Space, recipe: Recipe, metric: Metric, about: Mapping[str, Any]) -> Search:
    """Read the study's trials; those that were one too many are left out."""
    known = study.get_trials(deepcopy=False)
    count = {t.number for t in counted(known)}
    made = []
    for trial in known:
        again = next((o.number for o in known if trial.number in o.system_attrs.get("retry_history", ())), None)
        if trial.state == TrialState.WAITING or (trial.number not in count and again is None):
            continue
        made.append(_trial(trial, space, again))
    complete = [t for t in made if t.state == "complete" and t.score is not None]
    best: Trial | None = None
    for one in complete:
        if best is None or metric.better(_score(one), _score(best)):
            best = one
    importances = _importances(study, int(about.get("seed", 0)))
    return Search(recipe, study.study_name, metric, space, tuple(made), best, importances, about)


def write(search: Search, folder: Path) -> Path:
    """Write best.yaml, trials.csv, search.json and search.html; return the page's path."""
    from insula.workflows.search_page import render

    if search.best_recipe is not None:
        provenance.write_text(folder / "best.yaml", recipes.dump(search.best_recipe))
    provenance.write_text(folder / "trials.csv", table(search))
    provenance.write_json(folder / "search.json", provenance.record(**manifest(search)))
    page = folder / "search.html"
    provenance.write_text(page, render(search))
    return page


def table(search: Search) -> str:
    """One row a trial: number, state, score, seconds, the value of each key (lists as JSON), steps, reason."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("trial", "state", "score", "seconds", *search.space, "steps", "reason"))
    for t in search.trials:
        values = [_plain(t.values[key]) if key in t.values else "" for key in search.space]
        score = "" if t.score is None else repr(t.score)
        took = "" if t.seconds is None else f"{t.seconds:.1f}"
        writer.writerow(cells.row((t.number, t.state, score, took, *values, len(t.steps), _plain(t.reason))))
    return stream.getvalue()


def manifest(search: Search) -> dict[str, Any]:
    """The search as plain data for JSON."""
    states: tuple[State, ...] = ("complete", "pruned", "failed", "stopped", "running")
    best = search.best
    return {
        "recipe": search.recipe.name,
        "study": search.study,
        "metric": search.metric.name,
        "direction": "maximise" if search.metric.maximise else "minimise",
        **search.about,
        "space": {key: {k: v for k, v in vars(e).items() if v is not None} for key, e in search.space.items()},
        "counts": {state: len(search.of(state)) for state in states},
        "best": None if best is None else {"trial": best.number, "score": best.score, "values": dict(best.values)},
        "importances": dict(search.importances),
        "seconds": sum(t.seconds or 0.0 for t in search.trials),
        "optimism": search.optimism,
    }


def _trial(trial: FrozenTrial, space: Space, again: int | None) -> Trial:
    state = _STATES[trial.state] if again is None else "stopped"
    finite = {step: v for step, v in sorted(trial.intermediate_values.items()) if math.isfinite(v)}
    score = trial.values[0] if trial.values else None
    reason = str(trial.user_attrs.get("reason", "")) if state == "failed" else ""
    if state == "failed" and not reason:
        reason = _DIED
    if again is not None:
        reason = f"{_DIED}; tried again as trial {again}"
    seconds = trial.duration.total_seconds() if trial.duration else None
    values = decoded(trial.params, space)
    return Trial(trial.number, state, score, values, seconds, finite, reason)


def _score(trial: Trial) -> float:
    return math.nan if trial.score is None else trial.score


def _importances(study: optuna.Study, seed: int) -> dict[str, float]:
    """Pruned trials count with their last value: those that pruning spared are too alike to show what matters."""
    told = [t for t in counted(study.get_trials(deepcopy=False)) if t.values and math.isfinite(t.values[0])]
    if len(told) < _FEWEST or len({t.values[0] for t in told}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = optuna.create_study()
        for t in told:
            level.add_trial(optuna.create_trial(params=t.params, distributions=t.distributions, value=t.values[0]))
        found = optuna.importance.get_param_importances(level, evaluator=evaluator)
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}


def _plain(value: Any) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = value if isinstance(value, str) else json.dumps(value)
    return f"'{text}" if text[:1] in "=+-@" and isinstance(value, str) else text
