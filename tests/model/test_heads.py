"""Each kind of head gives what its formula says, and its derivative is the one of autograd."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from tests.made_fused import MORE, TARGETS, stirred

from insula.core.recipe import Target
from insula.model.heads import Heads, width

pytestmark = pytest.mark.train
H = 10
ALL = {name: Target.model_validate(t) for name, t in (TARGETS | MORE).items()}


def heads(names: tuple[str, ...] = tuple(ALL)) -> Heads:
    made = stirred(Heads({name: ALL[name] for name in names}, H)).double()
    if "volume" in names:
        made.set_scale("volume", 30.0, 8.0)
    return made


def with_scores(name: str, scores: torch.Tensor) -> Heads:
    """Heads whose embedding of one number is the score itself."""
    made = Heads({name: ALL[name]}, 1).to(scores.dtype)
    with torch.no_grad():
        made.score.weight.fill_(1.0)
        made.score.bias.zero_()
    return made


def columns(name: str, scores: torch.Tensor) -> torch.Tensor:
    out: torch.Tensor = with_scores(name, scores)(scores[:, None]).detach()
    return out


def test_the_columns_stand_side_by_side_in_the_order_of_the_targets() -> None:
    made, h = heads(), torch.randn(4, H, dtype=torch.float64)
    everything = made(h)
    assert everything.shape == (4, sum(t.columns for t in ALL.values()))
    assert made.score.out_features == sum(width(t) for t in ALL.values()) == 3 + 1 + 1 + 1 + 1 + 2
    at = score = 0
    for name, target in ALL.items():
        alone = Heads({name: target}, H).double()
        state = {k: v for k, v in made.state_dict().items() if k.endswith(f"_{name}")}
        rows = slice(score, score + width(target))
        state |= {"score.weight": made.score.weight[rows], "score.bias": made.score.bias[rows]}
        alone.load_state_dict(state)
        torch.testing.assert_close(everything[:, at : at + target.columns], alone(h))
        at, score = at + target.columns, score + width(target)


@pytest.mark.parametrize("name", list(ALL))
def test_the_slope_equals_autograd(name: str) -> None:
    for made in (heads(), heads((name,))):
        h = torch.randn(5, H, dtype=torch.float64, requires_grad=True)
        slope = made.slope(h)
        for k in range(slope.shape[1]):
            (grad,) = torch.autograd.grad(made(h)[:, k].sum(), h, retain_graph=True)
            torch.testing.assert_close(slope[:, k], grad, atol=1e-10, rtol=1e-8)


def test_a_binary_target_has_one_score_and_two_columns() -> None:
    s = torch.tensor([-60.0, -1.0, 0.0, 2.5, 60.0], dtype=torch.float64)
    both = columns("bleed", s)
    assert torch.equal(both[:, 0], torch.zeros_like(s))
    assert torch.equal(both[:, 1], s)
    torch.testing.assert_close(torch.softmax(both, 1)[:, 1], torch.sigmoid(s))


def test_ordinal_columns_are_the_log_probabilities_of_the_cumulative_link_model() -> None:
    made = heads(("stage",))
    h = torch.randn(50, H, dtype=torch.float64) * 2
    s = made.score(h)
    thresholds = made._thresholds("stage")
    above = torch.sigmoid(s - thresholds)  # P(y > k)
    one, nothing = torch.ones_like(s), torch.zeros_like(s)
    direct = torch.cat([one, above], 1) - torch.cat([above, nothing], 1)
    torch.testing.assert_close(made(h).exp(), direct, atol=1e-12, rtol=1e-9)
    torch.testing.assert_close(made(h).exp().sum(1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(torch.softmax(made(h), 1), direct)  # so a softmax gives them back


def test_thresholds_rise_whatever_was_learnt() -> None:
    made = heads(("stage",))
    with torch.no_grad():
        for steps in ([-80.0, 0.0], [3.0, -80.0], [-200.0, -200.0]):
            made.get_parameter("steps_stage").copy_(torch.tensor(steps))
            theta = made._thresholds("stage")
            assert all(a < b for a, b in itertools.pairwise(theta.tolist()))
            assert bool(torch.isfinite(made(torch.randn(3, H, dtype=torch.float64))).all())


def test_at_the_start_thresholds_lie_a_step_apart_around_zero() -> None:
    theta = Heads({"stage": ALL["stage"]}, H)._thresholds("stage")
    torch.testing.assert_close(theta, torch.tensor([-1.0, 0.0, 1.0]), atol=3e-3, rtol=0)


@pytest.mark.parametrize("score", [-60.0, 60.0])
def test_ordinal_columns_stay_exact_where_a_difference_of_sigmoids_is_nothing(score: float) -> None:
    """σ(60 − θ) rounds to 1 in float32 and even float64, so a plain difference would give log 0."""
    s = torch.tensor([score], requires_grad=True)
    made = with_scores("stage", s)
    found = made(s[:, None])
    assert bool(torch.isfinite(found).all())
    (grad,) = torch.autograd.grad(found.sum(), s)
    assert bool(torch.isfinite(grad).all())
    # log(σ(a) − σ(b)) for b < a ≪ 0 is a + log(1 − exp(b − a)), and by symmetry for a, b ≫ 0
    theta = made._thresholds("stage").double().detach()
    a = score - theta
    gaps = torch.log1p(-torch.exp(a[1:] - a[:-1]))
    middle = (a[:-1] if score < 0 else -a[1:]) + gaps
    torch.testing.assert_close(found[0, 1:-1].double(), middle, atol=1e-4, rtol=1e-5)
    assert int(found.argmax()) == (0 if score < 0 else 3)
    likely = columns("stage", torch.tensor([-60.0, 60.0]))
    torch.testing.assert_close(likely.exp().sum(1), torch.ones(2))


def test_a_regression_speaks_in_the_unit_of_its_labels() -> None:
    made = with_scores("volume", torch.zeros(1))
    made.set_scale("volume", 30.0, 8.0)
    found = made(torch.tensor([[0.0], [1.0], [-2.0]])).detach()
    torch.testing.assert_close(found, torch.tensor([[30.0], [38.0], [14.0]]))
    assert {"mean_volume", "std_volume"} <= set(made.state_dict())  # they travel with the weights


def test_hazards_and_labels_are_the_scores() -> None:
    s = torch.tensor([-3.0, 0.5])
    assert torch.equal(columns("death", s)[:, 0], s)
    made, h = heads(("signs",)), torch.randn(3, H, dtype=torch.float64)
    torch.testing.assert_close(made(h), F.linear(h, made.score.weight, made.score.bias))


def test_scores_of_half_precision_are_counted_in_full() -> None:
    made = Heads(ALL, H).to(torch.bfloat16)
    found = made(torch.randn(2, H, dtype=torch.bfloat16))
    assert bool(torch.isfinite(found).all())
    assert Heads(ALL, H).double()(torch.randn(2, H, dtype=torch.float64)).dtype == torch.float64
