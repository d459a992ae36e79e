from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference
from tests.made_arrays import recipe

from insula.core.errors import UsageError
from insula.core.recipe import Recipe
from insula.evaluate.table import Sample
from insula.workflows.search_metric import METRICS, check_metric, value

CLASSES = ("healthy", "benign", "malignant")


def of_kind(kind: str) -> Recipe:
    content = recipe().model_dump(mode="json", by_alias=True)
    content["targets"]["tumour"]["kind"] = kind
    return Recipe.model_validate(content)


def rows(kind: str) -> tuple[Sample, Any, Any]:
    """40 patients of two cases each: cases as rows, and labels and mean probabilities by patient."""
    draw = np.random.default_rng(5)
    p = draw.random((80, 3))
    patients = np.repeat([f"p{i:02}" for i in range(40)], 2)
    if kind == "multilabel":
        y = np.repeat(draw.random((40, 3)) < 0.4, 2, axis=0)
    else:
        p /= p.sum(1, keepdims=True)
        y = np.repeat(np.eye(3)[draw.integers(3, size=40)] > 0.5, 2, axis=0)
    keys = np.array([f"c{i}" for i in range(80)])
    return Sample(keys, patients, y, p, np.full(p.shape, 0.5)), y[::2], (p[::2] + p[1::2]) / 2


def test_the_figures_are_those_of_scikit_learn_over_patients() -> None:
    sample, y, p = rows("multiclass")
    true, called = y.argmax(1), p.argmax(1)
    assert (np.bincount(true, minlength=3) > 0).all()
    wanted = {
        "auc": reference.roc_auc_score(y[:, 2], p[:, 2]),
        "pr_auc": reference.average_precision_score(y[:, 2], p[:, 2]),
        "log_loss": reference.log_loss(true, p),
        "brier": ((p - y) ** 2).sum(1).mean(),
        "balanced_accuracy": reference.balanced_accuracy_score(true, called),
        "kappa": reference.cohen_kappa_score(true, called),
    }
    assert {name: value(METRICS[name], sample, of_kind("multiclass")) for name in wanted} == pytest.approx(wanted)
    quadratic = reference.cohen_kappa_score(true, called, weights="quadratic")
    assert value(METRICS["kappa"], sample, of_kind("ordinal")) == pytest.approx(quadratic)


def test_separate_labels_are_averaged() -> None:
    sample, y, p = rows("multilabel")
    both = of_kind("multilabel")
    losses = [reference.log_loss(y[:, k], p[:, k]) for k in range(3)]
    assert value(METRICS["log_loss"], sample, both) == pytest.approx(np.mean(losses))
    assert value(METRICS["brier"], sample, both) == pytest.approx(((p - y) ** 2).mean())
    assert value(METRICS["auc"], sample, both) == pytest.approx(reference.roc_auc_score(y[:, 2], p[:, 2]))
    for name in ("balanced_accuracy", "kappa"):
        with pytest.raises(UsageError, match=f"'{name}' needs classes that exclude each other"):
            check_metric(name, both)


def test_what_is_not_defined_is_nan() -> None:
    sample, _, _ = rows("multiclass")
    only = sample.y[:, 0]
    some = Sample(sample.keys[only], sample.patients[only], sample.y[only], sample.p[only], sample.limits[only])
    for name in ("auc", "pr_auc", "balanced_accuracy"):
        assert np.isnan(value(METRICS[name], some, of_kind("multiclass")))


def test_better_goes_the_metrics_way() -> None:
    assert METRICS["auc"].better(0.9, 0.8)
    assert not METRICS["auc"].better(0.8, 0.8)
    assert METRICS["log_loss"].better(0.8, 0.9)
