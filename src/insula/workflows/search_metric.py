"""What trials are compared by: figures of the validation patients, and which keys may be searched by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from insula.core.errors import RecipeError, UsageError
from insula.core.recipe import Recipe
from insula.evaluate.facts import of_recipe
from insula.evaluate.table import Sample, by_patient
from insula.metrics import classification, ordinal

_FIXED = ("name", "question", "seed", "targets", "policy")
_SHAPES_LOSS = ("class_weights", "focal", "label_smoothing", "loss_weights", "balance")


@dataclass(frozen=True)
class Metric:
    """A figure by its name: whether more of it is better, what it is, and whether it needs exclusive classes."""

    name: str
    maximise: bool
    title: str
    exclusive: bool = False

    def better(self, one: float, other: float) -> bool:
        """Whether one value is strictly better than another."""
        return one > other if self.maximise else one < other


METRICS = {
    metric.name: metric
    for metric in (
        Metric("val_loss", False, "validation loss"),
        Metric("auc", True, "area under the ROC curve"),
        Metric("pr_auc", True, "average precision"),
        Metric("log_loss", False, "log loss"),
        Metric("brier", False, "Brier score"),
        Metric("balanced_accuracy", True, "balanced accuracy", exclusive=True),
        Metric("kappa", True, "kappa", exclusive=True),
    )
}


def check_metric(name: str, recipe: Recipe) -> Metric:
    """The metric by its name; UsageError where there is none, or the recipe's first target does not have it."""
    if name not in METRICS:
        raise UsageError(f"There is no metric '{name}' to search by; choose from {', '.join(METRICS)}.")
    metric = METRICS[name]
    if metric.exclusive and not recipe.target.exclusive:
        raise UsageError(
            f"'{name}' needs classes that exclude each other, and '{recipe.target_name}' is {recipe.target.kind}; "
            "choose auc, pr_auc, log_loss or brier."
        )
    return metric


def check_keys(keys: Iterable[str], metric: Metric, recipe: Recipe) -> None:
    """RecipeError for a key that a search by this metric must not change.

    Such keys change the question, cannot change the score, or change what the validation loss means, so that the loss
    of two trials could not be compared.
    """
    for key in keys:
        section, _, rest = key.partition(".")
        if section in _FIXED:
            why = "has no part in training" if section in ("name", "policy") else "makes trials that cannot be compared"
            raise RecipeError(f"Search space, key '{key}' {why}; set it by --set.")
        if key == "model.members":
            raise RecipeError("Search space, key 'model.members': a trial trains one network; set it for the last run.")
        alone = rest.split(".")[0]
        risk_sets = alone == "batch" and any(t.kind == "survival" for t in recipe.targets.values())
        shapes = section == "train" and (alone in (*_SHAPES_LOSS, "") or risk_sets)
        if metric.name == "val_loss" and (shapes or (section == "inputs" and rest.endswith("unit"))):
            raise RecipeError(
                f"Search space, key '{key}' changes how the validation loss is computed, so the losses of two trials "
                "cannot be compared; search by --metric log_loss or auc."
            )


def value(metric: Metric, rows: Sample, recipe: Recipe) -> float:
    """The metric of the first target over patients, pooled as the policy says; NaN where it is not defined.

    auc, pr_auc: of the positive class or label. log_loss, brier: over the classes (of separate labels the mean over the
    labels). balanced_accuracy: mean recall of the classes, each patient given its most probable class. kappa: Cohen's,
    for an ordinal target with quadratic weights.
    """
    pooled, _ = by_patient(rows, of_recipe(recipe, {}))
    once, target = classification.once(len(pooled.y)), recipe.target
    y, p = pooled.y, pooled.p
    if metric.name in ("auc", "pr_auc"):
        k = target.positive_index
        figure = classification.roc_auc if metric.name == "auc" else classification.average_precision
        return float(figure(y[:, k], p[:, k], once)[0])
    if metric.name == "brier":
        total = float(classification.brier(y, p, once)[0])
        return total if target.exclusive else total / y.shape[1]
    if metric.name == "log_loss":
        if target.exclusive:
            return float(classification.log_loss_classes(y, p, once)[0])
        return float(np.mean([classification.log_loss(y[:, k], p[:, k], once)[0] for k in range(y.shape[1])]))
    matrix = classification.confusion(y.argmax(1), p.argmax(1), y.shape[1], once)
    if metric.name == "kappa":
        found = ordinal.quadratic_kappa(matrix) if target.kind == "ordinal" else classification.kappa(matrix)
        return float(found[0])
    hit = np.diagonal(matrix, axis1=1, axis2=2)
    return float(classification.mean_of_classes(hit, matrix.sum(axis=2))[0])
