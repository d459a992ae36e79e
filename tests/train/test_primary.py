import numpy as np
import pytest
import torch

from insula.core.recipe import Target
from insula.train.primary import groups, negative, scores

pytestmark = pytest.mark.train


def target(kind: str) -> Target:
    classes = ["a", "b"] if kind == "binary" else ["a", "b", "c"]
    return Target.model_validate({"kind": kind, "classes": classes, "primary": "b"})


Y = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [torch.nan] * 3])
KNOWN = torch.tensor([1.0, 1, 1, 0])


@pytest.mark.parametrize(
    ("kind", "y", "expected"),
    [
        ("multiclass", Y, [0, 1, 2, -1]),
        ("ordinal", Y, [0, 1, 2, -1]),
        ("multilabel", Y, [0, 1, 0, -1]),
        ("binary", Y[:, :2], [0, 1, 0, -1]),
    ],
)
def test_inputs_are_grouped_by_what_is_to_be_told_apart(kind: str, y: torch.Tensor, expected: list[int]) -> None:
    assert groups(target(kind), y, KNOWN) == expected


def test_the_score_is_the_probability_of_the_positive_class() -> None:
    columns = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.5]])
    assert scores(target("multiclass"), columns) == pytest.approx(
        [np.e / (1 + np.e + 1 / np.e), 1 / (np.exp(2) + 1 + np.exp(0.5))]
    )
    assert scores(target("ordinal"), torch.log_softmax(columns, 1)) == pytest.approx(
        scores(target("multiclass"), columns), rel=1e-6
    )
    assert scores(target("multilabel"), columns) == pytest.approx([1 / (1 + 1 / np.e), 0.5])


def test_only_a_known_label_makes_a_negative() -> None:
    assert negative(target("multiclass"), Y, KNOWN).tolist() == [True, False, True, False]
    assert negative(target("multilabel"), Y, KNOWN).tolist() == [True, False, True, False]
