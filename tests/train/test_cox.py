from typing import Literal

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from insula.train.cox import partial_likelihood

pytestmark = pytest.mark.train

# Weeks of remission of children with leukaemia on 6-MP and on placebo (Freireich et al. 1963); minus: censored.
DRUG = [6, 6, 6, -6, 7, -9, 10, -10, -11, 13, 16, -17, -19, -20, 22, 23, -25, -32, -32, -34, -35]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]


def remission() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    weeks = torch.tensor([*DRUG, *PLACEBO], dtype=torch.float64)
    treated = torch.tensor([0.0] * 21 + [1.0] * 21, dtype=torch.float64)
    return treated, weeks.abs(), (weeks > 0).double()


@pytest.mark.parametrize(("ties", "published"), [("efron", 1.5721), ("breslow", 1.5092)])
def test_the_published_effect_of_placebo_minimises_it(ties: Literal["efron", "breslow"], published: float) -> None:
    x, time, event = remission()
    found = minimize_scalar(
        lambda b: float(partial_likelihood(b * x, time, event, ties)),
        bounds=(0.0, 4.0),
        method="bounded",
        options={"xatol": 1e-8},
    )
    assert found.x == pytest.approx(published, abs=6e-5)


def by_hand(h: np.ndarray, time: np.ndarray, event: np.ndarray, efron: bool) -> float:
    """The formulas as they are printed, one event time after another."""
    total = 0.0
    for t in np.unique(time[event > 0]):
        dead = (time == t) & (event > 0)
        risk, own = np.exp(h[time >= t]).sum(), np.exp(h[dead]).sum()
        d = int(dead.sum())
        total -= h[dead].sum() - sum(np.log(risk - (k / d if efron else 0.0) * own) for k in range(d))
    return float(total)


TIES: tuple[Literal["efron", "breslow"], ...] = ("efron", "breslow")


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("rows", [7, 1024])
def test_it_is_the_sum_over_event_times(
    ties: Literal["efron", "breslow"], rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("insula.train.cox._ROWS", rows)
    rng = np.random.default_rng(5)
    h, time = rng.normal(0, 2, 60), rng.integers(1, 12, 60).astype(float)
    event = (rng.random(60) < 0.6).astype(float)
    ours = partial_likelihood(torch.from_numpy(h), torch.from_numpy(time), torch.from_numpy(event), ties)
    assert float(ours) == pytest.approx(by_hand(h, time, event, ties == "efron"), rel=1e-12)


@pytest.mark.filterwarnings("ignore:Starting with pandas")  # lifelines' own
def test_lifelines_fits_the_same_coefficients_and_likelihood() -> None:
    lifelines = pytest.importorskip("lifelines")
    rossi = lifelines.datasets.load_rossi()
    fitter = lifelines.CoxPHFitter().fit(rossi, "week", "arrest")
    columns = rossi.drop(columns=["week", "arrest"])
    x = torch.tensor(columns.to_numpy(dtype=float))
    beta = torch.tensor(fitter.params_[columns.columns].to_numpy(), requires_grad=True)
    loss = partial_likelihood(
        x @ beta, torch.tensor(rossi["week"].to_numpy(dtype=float)), torch.tensor(rossi["arrest"])
    )
    assert float(loss.detach()) == pytest.approx(-fitter.log_likelihood_, rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, beta)
    assert float(gradient.abs().max()) < 1e-3  # lifelines stops when its own gradient is that small


def test_the_gradient_is_that_of_finite_differences() -> None:
    _, time, event = remission()
    h = torch.randn(42, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: partial_likelihood(v, time, event), (h,))


def test_adding_to_all_hazards_changes_nothing_and_large_ones_stay_finite() -> None:
    x, time, event = remission()
    h = (x * 1.5).float().requires_grad_()
    loss = partial_likelihood(h, time.float(), event.float())
    torch.testing.assert_close(partial_likelihood(h + 300.0, time.float(), event.float()), loss, rtol=1e-4, atol=1e-3)
    (gradient,) = torch.autograd.grad(partial_likelihood(h * 200.0, time.float(), event.float()), h)
    assert bool(torch.isfinite(gradient).all())


def test_without_events_nothing_is_learnt() -> None:
    h = torch.ones(3, requires_grad=True)
    loss = partial_likelihood(h, torch.tensor([1.0, 2.0, 3.0]), torch.zeros(3))
    (gradient,) = torch.autograd.grad(loss, h)
    assert float(loss.detach()) == 0.0
    assert gradient.tolist() == [0.0, 0.0, 0.0]
