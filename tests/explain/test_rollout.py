"""Attention rollout of slices and of patches, against a product by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.made_fused import SHAPES, TARGETS, given, network, recipe, stirred

from insula.core.errors import UsageError
from insula.core.recipe import Recipe
from insula.explain.rebuild import Given
from insula.explain.rollout import attention_rollout
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.model.transformer_pool import TransformerPool

pytestmark = pytest.mark.train
WIDE = {"ct": (2, 48, 32)}


def vit(pool: str = "mean") -> tuple[Recipe, Network, Given]:
    """A vision transformer on pictures of 3×2 patches; two cases of two slices and one."""
    settings = recipe(("ct",), False, TARGETS, encoder="test_vit", pool=pool)
    torch.manual_seed(0)
    net = stirred(Network(settings, WIDE)).eval()
    _, mask, _ = given(settings, {"ct": [[2], [1]]})
    return settings, net, Given({"ct": torch.rand(2, 2, *WIDE["ct"])}, mask, None)


def product_by_hand(net: Network, pictures: torch.Tensor) -> torch.Tensor:
    """The product of ½A + ½I over the blocks of timm's transformer, from queries and keys."""
    core = net.encoders["ct"].backbone
    x = core._pos_embed(core.patch_embed((pictures - 0.5) / 0.25))  # type: ignore[union-attr, operator]
    x = core.norm_pre(core.patch_drop(x))  # type: ignore[union-attr, operator]
    product = torch.eye(x.shape[1]).expand(len(x), -1, -1)
    for block in core.blocks:  # type: ignore[union-attr]
        n, t, d = x.shape
        attention = block.attn
        q, k, _ = attention.qkv(block.norm1(x)).reshape(n, t, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        q, k = attention.q_norm(q), attention.k_norm(k)
        p = torch.softmax((q * (d // attention.num_heads) ** -0.5) @ k.transpose(2, 3), -1).mean(1)
        product = (0.5 * p + 0.5 * torch.eye(t)) @ product
        x = block(x)
    return product


def test_the_patches_of_a_vision_transformer() -> None:
    _, net, inputs = vit()
    maps, weights = attention_rollout(net, inputs)
    with torch.no_grad():
        whole = product_by_hand(net, inputs.x["ct"].flatten(0, 1))
    first = net.encoders["ct"].prefix_tokens
    assert first == 1
    rows = whole[:, 1:, 1:].mean(1)
    wanted = (rows / rows.sum(1, keepdim=True)).view(2, 2, 3, 2) * inputs.mask["ct"].view(2, 2, 1, 1)
    wanted[0] /= 2  # mean pooling: half a slice
    torch.testing.assert_close(maps["ct"], wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(maps["ct"].sum((1, 2, 3)), torch.ones(2))
    torch.testing.assert_close(weights["ct"], torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    assert float(maps["ct"][0].std()) > 1e-4


def test_fused_and_plain_attention_give_the_same() -> None:
    _, net, inputs = vit("attention")
    fused, _ = attention_rollout(net, inputs)
    for block in net.encoders["ct"].backbone.blocks:  # type: ignore[union-attr]
        block.attn.fused_attn = False
    plain, _ = attention_rollout(net, inputs)
    torch.testing.assert_close(fused["ct"], plain["ct"], atol=1e-6, rtol=1e-4)


def test_the_slices_of_a_transformer_pool() -> None:
    """By hand from the layers' own weights: the pool's branch counts half, bags are apart, padding has nothing."""
    settings = recipe(("ct",), False, TARGETS, pool="transformer", bags="mean")
    net, inputs = network(settings), Given(*given(settings, {"ct": [[3, 2], [2]]}))
    maps, weights = attention_rollout(net, inputs)
    pool, mask = net.pools["ct"].inner, inputs.mask["ct"]
    assert isinstance(pool, TransformerPool)
    with torch.no_grad():
        f = torch.unflatten(net.encoders["ct"]((inputs.x["ct"].flatten(0, 1) - 0.5) / 0.25).mean((2, 3)), 0, (2, 5))
        tokens, product = pool._first(f, mask), torch.eye(5).expand(2, 5, 5)
        same = (mask.transpose(1, 2) @ mask > 0.5).unsqueeze(1)
        for layer in pool.layers:
            p = layer._attention(tokens, same)[0].mean(1)  # type: ignore[operator]
            product = (0.5 * p + 0.5 * torch.eye(5)) @ product
            tokens = layer(tokens, same)
        share = pool.weights(f, mask) @ (0.5 * product + 0.5 * torch.eye(5))
    wanted = torch.stack([share[0].mean(0), share[1, 0]])
    torch.testing.assert_close(weights["ct"], wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(weights["ct"].sum(1), torch.ones(2))
    torch.testing.assert_close(weights["ct"][0, :3].sum(), torch.tensor(0.5))
    assert float(weights["ct"][1, 2:].abs().max()) == 0.0
    assert maps["ct"].shape == (2, 5, 1, 1)
    torch.testing.assert_close(maps["ct"][:, :, 0, 0], weights["ct"])


def test_both_at_once_and_the_mean_over_an_ensemble() -> None:
    _, net, inputs = vit("transformer")
    maps, weights = attention_rollout(net, inputs)
    torch.testing.assert_close(maps["ct"].sum((2, 3)), weights["ct"])
    torch.testing.assert_close(attention_rollout(Ensemble([net, net]), inputs)[0]["ct"], maps["ct"])


@pytest.mark.parametrize("encoder", ["simple_cnn", "swin_tiny_patch4_window7_224"])
def test_what_has_no_attention_of_all_to_all_is_refused(encoder: str) -> None:
    side = 16 if encoder == "simple_cnn" else 224
    settings = recipe(("ct",), False, TARGETS, encoder=encoder, pool="attention")
    net = Network(settings, {"ct": (2, side, side)}).eval()
    inputs = Given({"ct": torch.rand(1, 1, 2, side, side)}, {"ct": torch.ones(1, 1, 1)}, None)
    with pytest.raises(UsageError, match="needs a transformer, and 'ct' has one neither"):
        attention_rollout(net, inputs)


def test_a_masked_or_biased_attention_is_seen_as_it_is() -> None:
    from insula.explain.rollout import _Seen

    q, k, v = torch.randn(3, 2, 4, 5, 8)
    ones = torch.rand(2, 4, 5, 5) > 0.3
    ones[..., 0] = True
    bias = torch.randn(2, 4, 5, 5)
    with _Seen() as seen:
        masked = F.scaled_dot_product_attention(q, k, v, ones)
        biased = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=0.7)
    assert len(seen.layers) == 2
    mean = torch.stack([torch.softmax((q @ k.transpose(2, 3)) * 0.7 + bias, -1)]).mean((0, 2))
    torch.testing.assert_close(seen.layers[1], mean)
    scores = (q @ k.transpose(2, 3) / 8**0.5).masked_fill(~ones, float("-inf"))
    torch.testing.assert_close(seen.layers[0], torch.softmax(scores, -1).mean(1))
    torch.testing.assert_close(torch.softmax(scores, -1) @ v, masked)
    assert biased.shape == masked.shape


def test_volumes_have_the_weights_of_their_slices_alone() -> None:
    settings = recipe(("ct",), False, TARGETS, encoder="mc3_18", pool="transformer")
    net = Network(settings, SHAPES).eval()
    inputs = Given(*given(settings, {"ct": [[3]]}))
    maps, weights = attention_rollout(net, inputs)
    assert maps["ct"].shape == (1, 3, 1, 1)
    assert float(weights["ct"].sum()) == pytest.approx(1.0)
