import pytest
import torch

from insula.model.pooling import build_pool

POOLS = ["mean", "max", "attention"]


def made(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    f = torch.randn(3, 5, 7, generator=draw, dtype=torch.float64)
    mask = torch.ones(3, 5, dtype=torch.float64)
    mask[1, 3:] = 0.0
    return f, mask, torch.randn(4, 7, generator=draw, dtype=torch.float64)


@pytest.mark.train
@pytest.mark.parametrize("name", POOLS)
def test_the_slope_written_by_hand_equals_autograd(name: str) -> None:
    f, mask, w = made()
    torch.manual_seed(1)
    pool = build_pool(name, 7).double()
    ours = pool.slope(f, mask, w)
    f.requires_grad_(True)
    logits = pool(f, mask) @ w.t()
    for k in range(4):
        (grad,) = torch.autograd.grad(logits[:, k].sum(), f, retain_graph=True)
        torch.testing.assert_close(ours[:, k] * mask[:, :, None], grad * mask[:, :, None], atol=1e-10, rtol=0)


@pytest.mark.train
@pytest.mark.parametrize("name", POOLS)
def test_padding_changes_nothing_and_weights_sum_to_one(name: str) -> None:
    f, mask, _ = made()
    torch.manual_seed(1)
    pool = build_pool(name, 7).double()
    noisy = f.clone()
    noisy[1, 3:] = 100.0
    torch.testing.assert_close(pool(noisy, mask)[1:2], pool(f[1:2, :3], mask[1:2, :3]))
    torch.testing.assert_close(pool.weights(f, mask).sum(1), torch.ones(3, dtype=torch.float64))
    assert pool.weights(f, mask)[1, 3:].abs().max() < 1e-12


@pytest.mark.train
def test_mean_and_max_are_what_they_are_called() -> None:
    f, mask, _ = made()
    torch.testing.assert_close(build_pool("mean", 7)(f, mask)[1], f[1, :3].mean(0))
    torch.testing.assert_close(build_pool("max", 7)(f, mask)[1], f[1, :3].amax(0))
