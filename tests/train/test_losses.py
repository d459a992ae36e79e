import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from insula.core import recipe as recipes
from insula.train.data import Sample
from insula.train.losses import TargetLoss

pytestmark = pytest.mark.train


def test_class_weights_make_the_loss_the_balanced_log_loss() -> None:
    recipe = recipes.load("stroke-ct")
    rows = [Sample(0, 1, (1.0, 0.0))] * 9 + [Sample(0, 1, (0.0, 1.0))] * 3
    logits = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([r.y for r in rows])
    loss = float(TargetLoss(recipe, rows)(logits, y))
    p = torch.softmax(logits.double(), 1).numpy()
    weights = np.array([1 / 9] * 9 + [1 / 3] * 3)
    assert loss == pytest.approx(log_loss(y.argmax(1).numpy(), p, sample_weight=weights), rel=1e-5)


def test_multilabel_without_weights_is_the_mean_binary_log_loss() -> None:
    recipe = recipes.load("haemorrhage-ct", ("train.class_weights=false",))
    rows = [Sample(0, 1, (1.0, 0, 0, 0, 0, 1.0)), Sample(0, 1, (0.0,) * 6)]
    logits = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([r.y for r in rows])
    expected = np.mean([log_loss(y[:, k], torch.sigmoid(logits[:, k].double()), labels=[0, 1]) for k in range(6)])
    assert float(TargetLoss(recipe, rows)(logits, y)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["true", "false"])
def test_hard_labels_give_the_loss_of_pytorch(smoothing: float, weights: str) -> None:
    recipe = recipes.load("brain-tumour", (f"train.label_smoothing={smoothing}", f"train.class_weights={weights}"))
    rows = [Sample(0, 1, tuple(float(k == i % 3 % 2) for k in range(3))) for i in range(9)]
    loss = TargetLoss(recipe, rows)
    logits = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([r.y for r in rows])
    theirs = torch.nn.functional.cross_entropy(logits, y.argmax(1), weight=loss.weight, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, y), theirs)


def test_soft_labels_give_the_blend_of_the_losses_of_both_classes() -> None:
    recipe = recipes.load("brain-tumour", ("train.class_weights=false",))
    rows = [Sample(0, 1, (1.0, 0.0, 0.0)), Sample(0, 1, (0.0, 1.0, 0.0)), Sample(0, 1, (0.0, 0.0, 1.0))]
    loss = TargetLoss(recipe, rows)
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    first, second = torch.eye(3)[[0, 1, 2, 0, 1]], torch.eye(3)[[1, 1, 0, 2, 2]]
    both = loss(logits, 0.3 * first + 0.7 * second)
    torch.testing.assert_close(both, 0.3 * loss(logits, first) + 0.7 * loss(logits, second))


def test_a_rare_class_weighs_by_its_share_of_a_soft_label() -> None:
    recipe = recipes.load("stroke-ct")
    rows = [Sample(0, 1, (1.0, 0.0))] * 9 + [Sample(0, 1, (0.0, 1.0))] * 3
    loss = TargetLoss(recipe, rows)
    logits = torch.tensor([[1.0, -0.5], [0.2, 0.3]])
    y = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    w = loss.weight
    p = torch.log_softmax(logits, 1)
    expected = -(0.25 * w[0] * p[0, 0] + 0.75 * w[1] * p[0, 1] + w[0] * p[1, 0]) / (0.25 * w[0] + 0.75 * w[1] + w[0])
    torch.testing.assert_close(loss(logits, y), expected)
