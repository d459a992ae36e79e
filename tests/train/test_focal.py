from importlib import import_module

import pytest
import torch
import torch.nn.functional as F

from insula.train.focal import exclusive, together

pytestmark = pytest.mark.train

sigmoid_focal_loss = import_module("torchvision.ops").sigmoid_focal_loss


def columns(n: int, k: int, seed: int = 0) -> torch.Tensor:
    return 3.0 * torch.randn(n, k, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_the_binary_loss_is_torchvisions_focal_loss_of_one_logit(gamma: float) -> None:
    logit = columns(40, 1)[:, 0]
    y = (torch.arange(40) % 3 == 0).float()
    ours = exclusive(torch.stack([torch.zeros(40), logit], 1), torch.stack([1.0 - y, y], 1), torch.ones(2), gamma)
    torch.testing.assert_close(ours, sigmoid_focal_loss(logit, y, alpha=-1, gamma=gamma))


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_labels_that_stand_together_have_torchvisions_focal_loss(gamma: float) -> None:
    logits = columns(30, 4)
    y = (columns(30, 4, 1) > 0).float()
    theirs = sigmoid_focal_loss(logits, y, alpha=-1, gamma=gamma).mean(1)
    torch.testing.assert_close(together(logits, y, torch.ones(4), gamma), theirs)


def test_gamma_zero_is_the_cross_entropy() -> None:
    logits, weight = columns(20, 5), torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])
    y = torch.arange(20) % 5
    theirs = F.cross_entropy(logits, y, weight=weight, reduction="none")
    torch.testing.assert_close(exclusive(logits, F.one_hot(y, 5).float(), weight), theirs)
    bits = (columns(20, 5, 2) > 0).float()
    theirs = F.binary_cross_entropy_with_logits(logits, bits, pos_weight=weight, reduction="none").mean(1)
    torch.testing.assert_close(together(logits, bits, weight), theirs)


def test_many_classes_follow_the_published_formula() -> None:
    logits = columns(20, 5)
    y = torch.arange(20) % 5
    p = torch.softmax(logits.double(), 1)[torch.arange(20), y]
    expected = -((1 - p) ** 2) * p.log()
    torch.testing.assert_close(exclusive(logits, F.one_hot(y, 5).float(), torch.ones(5), 2.0), expected.float())


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_certain_answer_has_a_finite_gradient(gamma: float) -> None:
    sure = torch.tensor([[0.0, 200.0], [200.0, 0.0]], requires_grad=True)
    y = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    loss = exclusive(sure, y, torch.ones(2), gamma).sum() + together(sure, y, torch.ones(2), gamma).sum()
    (gradient,) = torch.autograd.grad(loss, sure)
    assert bool(torch.isfinite(gradient).all())
    assert float(gradient[1].abs().max()) > 0.4


def test_the_focal_factor_turns_the_eye_to_what_is_not_known_yet() -> None:
    easy_and_hard = torch.tensor([[0.0, 4.0], [0.0, -1.0]])
    y = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    plain = exclusive(easy_and_hard, y, torch.ones(2))
    focal = exclusive(easy_and_hard, y, torch.ones(2), 2.0)
    assert float(focal[0] / focal[1]) < 0.001 * float(plain[0] / plain[1]) + 1e-4
