import numpy as np
import pytest
import torch

from insula.train.pretrain_losses import effective_rank, hidden, painted, spread, vicreg

pytestmark = pytest.mark.train


def test_vicreg_is_the_published_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 0.5, (12, 5)), rng.normal(0.2, 0.8, (12, 5))
    found = vicreg(torch.tensor(a, dtype=torch.float32), torch.tensor(b, dtype=torch.float32))
    invariance = np.mean((a - b) ** 2)
    variance = np.mean([np.maximum(0, 1 - np.sqrt(z.var(0, ddof=1) + 1e-4)).mean() for z in (a, b)])
    covariance = sum((np.cov(z.T)[~np.eye(5, dtype=bool)] ** 2).sum() / 5 for z in (a, b))
    np.testing.assert_allclose([float(v) for v in found[1:]], [invariance, variance, covariance], rtol=1e-5)
    assert float(found.loss) == pytest.approx(25 * invariance + 25 * variance + covariance, rel=1e-5)


def test_vicreg_is_nothing_for_equal_wide_uncorrelated_pairs_and_large_for_collapsed_ones() -> None:
    z = torch.tensor([[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]])
    assert float(vicreg(z, z).loss) == pytest.approx(0.0, abs=1e-6)
    alike = torch.ones(4, 2)
    assert float(vicreg(alike, alike).loss) == pytest.approx(25 * 0.99)


def test_the_gradient_pushes_collapsed_pairs_apart() -> None:
    z = (torch.ones(8, 3) + 0.01 * torch.randn(8, 3, generator=torch.Generator().manual_seed(0))).requires_grad_(True)
    (grad,) = torch.autograd.grad(vicreg(z, z).loss, z)
    assert float((z - grad).detach().std(0).mean()) > float(z.detach().std(0).mean())


@pytest.mark.parametrize(("size", "patch", "share"), [((32, 32), 8, 0.5), ((30, 20), 8, 0.25), ((8, 8), 8, 0.9)])
def test_hidden_squares_cover_their_share(size: tuple[int, int], patch: int, share: float) -> None:
    hide = hidden(6, size, patch, share, torch.Generator().manual_seed(1))
    assert hide.shape == (6, 1, *size)
    cells = hide[:, :, ::patch, ::patch]
    wanted = max(min(round(share * cells[0].numel()), cells[0].numel() - 1), 1)
    assert cells.sum((1, 2, 3)).tolist() == [wanted] * 6
    whole = cells.repeat_interleave(patch, 2).repeat_interleave(patch, 3)[:, :, : size[0], : size[1]]
    assert torch.equal(hide, whole)
    if cells[0].numel() > 2:
        assert not torch.equal(hide[0], hide[1])


def test_only_hidden_pixels_count() -> None:
    truth = torch.zeros(2, 3, 4, 4)
    guess = torch.full_like(truth, 2.0)
    hide = torch.zeros(2, 1, 4, 4)
    hide[:, :, :2, :2] = 1.0
    guess[:, :, 2:] = 100.0
    assert float(painted(guess, truth, hide)) == 2.0


def test_spread_is_zero_for_like_features_and_near_one_for_all_directions() -> None:
    draw = torch.Generator().manual_seed(0)
    assert float(spread(torch.ones(64, 32))) == pytest.approx(0.0, abs=1e-6)
    assert float(spread(torch.randn(512, 64, generator=draw))) == pytest.approx(1.0, abs=0.02)
    # the length of the features plays no part
    assert float(spread(torch.rand(64, 1) + 1.0 + torch.zeros(64, 32))) == pytest.approx(0.0, abs=1e-6)


def test_the_effective_rank_counts_directions() -> None:
    q, _ = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    for directions in (1, 3, 7):
        steps = torch.cat([q[:directions], -q[:directions]])
        assert float(effective_rank(steps)) == pytest.approx(directions, rel=1e-4)
    assert float(effective_rank(torch.ones(8, 4))) == 0.0
