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
