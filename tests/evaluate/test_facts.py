from __future__ import annotations

import numpy as np
import pytest
from tests.evaluate.made_tables import facts
from tests.tiny_bundle import recipe

from insula.core.errors import EvaluationError
from insula.evaluate.facts import answers, of_recipe


def called(p: list[float], kind: str, limits: list[float] | None = None) -> list[str]:
    given = facts(kind)
    row = answers(np.array([p]), given, None if limits is None else np.array([limits]))[0]
    return [name for name, yes in zip(given.classes, row, strict=True) if yes]


@pytest.mark.parametrize(
    ("p", "want"),
    [
        ([0.5, 0.15, 0.35], "malignant"),  # at the threshold, though another is more probable
        ([0.2, 0.46, 0.34], "benign"),
        ([0.33, 0.33, 0.34], "healthy"),  # below the threshold the most probable of the others, though itself largest
    ],
)
def test_exclusive_classes_get_one_answer_with_the_positive_class_first(p: list[float], want: str) -> None:
    assert called(p, "multiclass") == [want]


def test_labels_are_called_each_at_its_own_threshold() -> None:
    assert called([0.4, 0.59, 0.5], "multilabel") == ["any", "epidural"]
    assert called([0.39, 0.0, 0.0], "multilabel") == []


def test_a_rows_own_thresholds_take_the_place_of_the_bundles() -> None:
    assert called([0.5, 0.15, 0.35], "multiclass", [0.5, 0.5, 0.36]) == ["healthy"]
    assert called([0.4, 0.59, 0.5], "multilabel", [0.5, 0.5, 0.5]) == ["subdural", "epidural"]


def test_the_facts_are_those_of_the_recipe() -> None:
    made = recipe("multilabel", aggregate="noisy_or", prevalences=[0.2], refer={"domain": 0.9})
    got = of_recipe(made, {"any": 0.3})
    assert (got.kind, got.classes, got.positive) == ("multilabel", made.target.classes, "any")
    assert (got.aggregate, got.prevalences, got.domain_limit, got.seed) == ("noisy_or", (0.2,), 0.9, 7)
    assert (got.threshold("any"), got.threshold("subdural")) == (0.3, 0.5)


def test_a_threshold_for_no_class_is_refused() -> None:
    with pytest.raises(EvaluationError, match="'bleed'"):
        of_recipe(recipe("multilabel"), {"any": 0.3, "bleed": 0.5})
