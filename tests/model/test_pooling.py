from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from insula.core.errors import RecipeError
from insula.export.onnx import OPSET
from insula.model.attention_pool import AttentionPool
from insula.model.bags import BagPool
from insula.model.pooling import Pool, build_pool
from insula.model.transformer_pool import Layer, TransformerPool, norm_slope

pytestmark = pytest.mark.train
M = TypeVar("M", bound=nn.Module)
POOLS = ["mean", "max", "attention", "transformer"]
TWO = [(inner, outer) for inner in POOLS for outer in ("mean", "max", "attention")]
E = 12


def made(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Three cases of nine slices and three bags: all full and interleaved; padded, one bag empty; nothing at all."""
    draw = torch.Generator().manual_seed(seed)
    f = torch.randn(3, 9, E, generator=draw, dtype=torch.float64)
    mask = torch.zeros(3, 3, 9, dtype=torch.float64)
    for s, bag in enumerate([0, 1, 2, 0, 0, 1, 1, 2, 0]):
        mask[0, bag, s] = 1.0
    mask[1, 0, :4] = 1.0
    mask[1, 2, 4:6] = 1.0
    return f, mask


def largest(t: torch.Tensor) -> float:
    return float(t.detach().abs().max())


def pool_of(name: str) -> Pool:
    torch.manual_seed(1)
    return stirred(build_pool(name, E)).double()


def stirred(module: M) -> M:
    """Weights large enough that every branch of the derivative matters."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())) * 0.5)
    return module


def by_autograd(z: torch.Tensor, f: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """Σ g·z differentiated for each of the K directions g (N, K, …)."""
    found = [torch.autograd.grad((z * g[:, k]).sum(), f, retain_graph=True)[0] for k in range(g.shape[1])]
    return torch.stack(found, 1)


@pytest.mark.parametrize("name", POOLS)
def test_the_slope_written_by_hand_equals_autograd(name: str) -> None:
    f, mask = made()
    pool = pool_of(name)
    g = torch.randn(3, 4, 3, E, dtype=torch.float64)
    ours = pool.slope(f, mask, g)
    f.requires_grad_(True)
    torch.testing.assert_close(ours, by_autograd(pool(f, mask), f, g), atol=1e-8, rtol=0)
    assert largest(ours) > 0.1


@pytest.mark.parametrize(("inner", "outer"), TWO)
def test_the_slope_of_bags_of_bags_equals_autograd(inner: str, outer: str) -> None:
    f, mask = made()
    pool = stirred(BagPool(inner, outer, E)).double()
    g = torch.randn(3, 4, E, dtype=torch.float64)
    ours = pool.slope(f, mask, g)
    f.requires_grad_(True)
    torch.testing.assert_close(ours, by_autograd(pool(f, mask), f, g), atol=1e-8, rtol=0)
    assert largest(ours[2]) == 0.0


@pytest.mark.parametrize("name", ["max"])
def test_ties_share_the_gradient_alike(name: str) -> None:
    f = torch.ones(1, 4, E, dtype=torch.float64)
    mask = torch.tensor([[[1.0, 1, 1, 0]]], dtype=torch.float64)
    slope = pool_of(name).slope(f, mask, torch.ones(1, 1, 1, E, dtype=torch.float64))
    torch.testing.assert_close(slope[0, 0, :, 0], torch.tensor([1, 1, 1, 0], dtype=torch.float64) / 3)


@pytest.mark.parametrize("name", POOLS)
def test_padding_and_order_of_bags_change_nothing(name: str) -> None:
    f, mask = made()
    pool = pool_of(name)
    g = torch.randn(3, 2, 3, E, dtype=torch.float64)
    noisy = f.clone()
    noisy[1, 6:] = 1e3
    alone = slice(1, 2)
    cut = (f[alone, :6], mask[alone, :, :6])
    torch.testing.assert_close(pool(noisy, mask)[alone], pool(*cut))
    torch.testing.assert_close(pool.weights(noisy, mask)[alone, :, :6], pool.weights(*cut))
    torch.testing.assert_close(pool.slope(noisy, mask, g)[alone, :, :6], pool.slope(*cut, g[alone]))
    assert largest(pool.slope(noisy, mask, g)[1, :, 6:]) == 0.0
    turned = [2, 0, 1]
    torch.testing.assert_close(pool(f, mask[:, turned]), pool(f, mask)[:, turned])
    # a bag is judged as if it were alone
    torch.testing.assert_close(pool(f[:1, [1, 5, 6]], mask[:1, 1:2, [1, 5, 6]]), pool(f, mask)[:1, 1:2])


@pytest.mark.parametrize("name", POOLS)
def test_weights_sum_to_one_over_a_bag_and_an_empty_bag_is_nothing(name: str) -> None:
    f, mask = made()
    pool = pool_of(name)
    weights, z = pool.weights(f, mask), pool(f, mask)
    torch.testing.assert_close(weights.sum(2), mask.amax(2))
    assert largest(weights * (1.0 - mask)) == 0.0
    assert largest(z[1, 1]) == 0.0
    assert largest(z[2]) == 0.0
    f.requires_grad_(True)
    (grad,) = torch.autograd.grad(pool(f, mask).sum(), f)
    assert bool(torch.isfinite(grad).all())
    assert largest(grad[2]) == 0.0


@pytest.mark.parametrize(("inner", "outer"), TWO)
def test_shares_of_all_slices_sum_to_one_over_a_case_that_has_any(inner: str, outer: str) -> None:
    f, mask = made()
    pool = stirred(BagPool(inner, outer, E)).double()
    shares = pool.weights(f, mask)
    torch.testing.assert_close(shares.sum(1), torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64))
    assert largest(pool(f, mask)[2]) == 0.0


@pytest.mark.parametrize(("inner", "outer"), TWO)
def test_with_one_bag_the_outer_pool_changes_nothing(inner: str, outer: str) -> None:
    f, mask = made()
    one = mask.amax(1, keepdim=True)
    pool = stirred(BagPool(inner, outer, E)).double()
    torch.testing.assert_close(pool(f, one), pool.inner(f, one).squeeze(1))
    torch.testing.assert_close(pool.weights(f, one), pool.inner.weights(f, one).squeeze(1))


def test_mean_and_max_are_what_they_are_called() -> None:
    f, mask = made()
    torch.testing.assert_close(build_pool("mean", E)(f, mask)[1, 0], f[1, :4].mean(0))
    torch.testing.assert_close(build_pool("max", E)(f, mask)[1, 0], f[1, :4].amax(0))
    outer_of_means = torch.stack([f[1, :4].mean(0), f[1, 4:6].mean(0)]).amax(0)
    torch.testing.assert_close(BagPool("mean", "max", E)(f, mask)[1], outer_of_means)


def test_attention_is_the_published_formula() -> None:
    f, mask = made()
    pool = pool_of("attention")
    assert isinstance(pool, AttentionPool)
    h = f[1, :4]
    gated = torch.tanh(h @ pool.value.weight.T + pool.value.bias)
    gated = gated * torch.sigmoid(h @ pool.gate.weight.T + pool.gate.bias)
    a = torch.exp(gated @ pool.score.weight[0])
    torch.testing.assert_close(pool(f, mask)[1, 0], (h * (a / a.sum())[:, None]).sum(0))


def test_the_layer_is_pytorchs_own_pre_norm_layer() -> None:
    torch.manual_seed(0)
    ours = stirred(Layer(16, 4)).double()
    theirs = nn.TransformerEncoderLayer(
        16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    parts = (ours.query, ours.key, ours.value)
    theirs.load_state_dict(
        {
            "self_attn.in_proj_weight": torch.cat([p.weight for p in parts]),
            "self_attn.in_proj_bias": torch.cat([p.bias for p in parts]),
            "self_attn.out_proj.weight": ours.out.weight,
            "self_attn.out_proj.bias": ours.out.bias,
            "linear1.weight": ours.widen.weight,
            "linear1.bias": ours.widen.bias,
            "linear2.weight": ours.narrow.weight,
            "linear2.bias": ours.narrow.bias,
            "norm1.weight": ours.norm_attention.weight,
            "norm1.bias": ours.norm_attention.bias,
            "norm2.weight": ours.norm_mlp.weight,
            "norm2.bias": ours.norm_mlp.bias,
        }
    )
    x = torch.randn(2, 6, 16, dtype=torch.float64)
    same = torch.ones(2, 1, 6, 6, dtype=torch.bool)
    same[:, :, :, 4:] = False
    padding = torch.tensor([[False] * 4 + [True] * 2] * 2)
    theirs.train()  # the training path: the fused one of eval mode packs padding away
    with torch.no_grad():
        torch.testing.assert_close(ours(x, same)[:, :4], theirs(x, src_key_padding_mask=padding)[:, :4])


def test_the_slope_of_a_layer_norm_equals_autograd() -> None:
    norm = stirred(nn.LayerNorm(16)).double()
    x = torch.randn(2, 5, 16, dtype=torch.float64, requires_grad=True)
    g = torch.randn(2, 3, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(norm_slope(norm, x, g), by_autograd(norm(x), x, g), atol=1e-10, rtol=0)


def test_the_transformer_sees_the_order_of_slices_and_the_other_pools_do_not() -> None:
    f, mask = made()
    one = mask.amax(1, keepdim=True)[:1]
    turned = f[:1].flip(1)
    for name in POOLS:
        difference = largest(pool_of(name)(f[:1], one) - pool_of(name)(turned, one))
        assert (difference > 1e-3) == (name == "transformer")


def test_the_transformer_takes_any_width_and_number_of_slices() -> None:
    for features, width in ((1, 8), (7, 8), (100, 96), (2048, 128)):
        pool = TransformerPool(features)
        assert pool.narrow.out_features == width
        for slices in (1, 200):
            assert pool(torch.rand(1, slices, features), torch.ones(1, 1, slices)).shape == (1, 1, features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", POOLS)
def test_half_precision_stays_finite(name: str, dtype: torch.dtype) -> None:
    f, mask = made()
    pool = build_pool(name, E).to(dtype)
    z = pool(f.to(dtype), mask.to(dtype))
    assert bool(torch.isfinite(z).all())
    assert bool(torch.isfinite(pool.weights(f.to(dtype), mask.to(dtype))).all())


def test_a_pool_that_does_not_exist_is_said() -> None:
    with pytest.raises(RecipeError, match="no pooling 'median'; write mean, max"):
        build_pool("median", E)
    with pytest.raises(RecipeError, match="no pooling 'transformer' over bags"):
        BagPool("mean", "transformer", E)


class Everything(nn.Module):
    """All three answers of several bags of bags in one graph."""

    def __init__(self) -> None:
        super().__init__()
        pairs = (("mean", "max"), ("transformer", "attention"))
        self.pools = nn.ModuleList(stirred(BagPool(inner, outer, E)) for inner, outer in pairs)

    def forward(self, f: torch.Tensor, mask: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found: list[torch.Tensor] = []
        for pool in self.pools:
            assert isinstance(pool, BagPool)
            found += [pool(f, mask), pool.weights(f, mask), pool.slope(f, mask, g)]
        return tuple(found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_forward_weights_and_slope_export_with_dynamic_slices_and_bags(tmp_path: Path) -> None:
    module = Everything().eval()
    f, mask = (t.float() for t in made())
    n, s, b = (torch.export.Dim(d, min=1, max=4096) for d in "nsb")
    program = torch.onnx.export(
        module,
        (f, mask, torch.randn(3, 2, E)),
        dynamo=True,
        opset_version=OPSET,
        input_names=["f", "mask", "g"],
        dynamic_shapes=({0: n, 1: s}, {0: n, 1: b, 2: s}, {0: n}),
        verbose=False,
        optimize=False,  # a quarter of the time, and of no use to these four shapes
    )
    assert program is not None
    program.save(str(tmp_path / "pools.onnx"))
    session = onnxruntime.InferenceSession(tmp_path / "pools.onnx")
    for shape in ((3, 9, 3), (1, 1, 1), (2, 17, 1), (1, 20, 4)):
        f = torch.randn(shape[0], shape[1], E)
        mask = nn.functional.one_hot(torch.randint(0, shape[2], shape[:2]), shape[2]).float().transpose(1, 2)
        g = torch.randn(shape[0], 2, E)
        out = session.run(None, {"f": f.numpy(), "mask": mask.numpy(), "g": g.numpy()})
        with torch.no_grad():
            for theirs, ours in zip(out, module(f, mask, g), strict=True):
                np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-4)


def before(n: int, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Cases of ten slices of which two bear a mark each; the label says whether the first mark lies lower."""
    f = 0.1 * torch.randn(n, 10, E, generator=draw)
    places = torch.rand(n, 10, generator=draw).argsort(1)[:, :2]
    f[torch.arange(n), places[:, 0], 0] += 2.0
    f[torch.arange(n), places[:, 1], 1] += 2.0
    return f, (places[:, 0] < places[:, 1]).float()


def test_the_transformer_learns_what_lies_in_the_order_alone() -> None:
    torch.manual_seed(0)
    draw = torch.Generator().manual_seed(0)
    right = {}
    for name in ("attention", "transformer"):
        pool, head = BagPool(name, "mean", E), nn.Linear(E, 1)
        optimizer = torch.optim.Adam([*pool.parameters(), *head.parameters()], 3e-3)
        for _ in range(150):
            f, y = before(64, draw)
            loss = nn.functional.binary_cross_entropy_with_logits(head(pool(f, torch.ones(64, 1, 10)))[:, 0], y)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        f, y = before(500, draw)
        right[name] = float(((head(pool(f, torch.ones(500, 1, 10)))[:, 0] > 0) == (y > 0.5)).float().mean())
    assert right["transformer"] > 0.9
    assert right["attention"] < 0.65
