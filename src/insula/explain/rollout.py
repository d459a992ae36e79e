"""Attention rollout: which patches and which slices the attention of a transformer passes on to its output."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

from insula.core.errors import UsageError
from insula.explain.rebuild import Given, Maps, by_parts
from insula.explain.still import still
from insula.infer.explainer import Asked, Explained, as_heatmaps
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.model.transformer_pool import TransformerPool
from insula.train.of_bundle import members

_SOFTMAX = {F.softmax, torch.softmax, torch.Tensor.softmax}


def attention_rollout(
    network: Network | Ensemble, inputs: Given
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """By role maps (N, S, h, w), the share of each patch, and weights (N, S), the share of each slice; no class counts.

    Abnar and Zuidema, ACL 2020, section 3: A the mean over heads, ½A + ½I for the branch around it, the product over
    layers. Within a slice the output is the mean over the patches of the last layer, so that the rows of the product
    are averaged, and its columns for class and register tokens left out. Over slices the transformer pool is rolled out
    likewise, its own branch around it counted once more as half, and read by its final attention; other pools give
    their weights. An encoder that is no such transformer gives one cell a slice. UsageError where no role has either,
    or only attention that is not of all tokens to all, for which a product means nothing.
    """
    parts = [_of_one(member, inputs) for member in members(network)]
    maps = {role: torch.stack([m[role] for m, _ in parts]).mean(0) for role in inputs.x}
    weights = {role: torch.stack([w[role] for _, w in parts]).mean(0) for role in inputs.x}
    return maps, weights


def explain(asked: Asked) -> Explained:
    """The rollout of a bundle's network; the weights of slices are the rolled out ones."""
    weights: list[Maps] = []

    def ask(network: Network | Ensemble, inputs: Given) -> Maps:
        maps, shares = attention_rollout(network, inputs)
        weights.append(shares)
        return maps

    found, _ = by_parts(asked, ask)
    rolled = {role: torch.cat([part[role] for part in weights]).numpy() for role in found}
    note = "attention rollout is the same for every class, and does not say that a patch raised a score"
    return Explained(as_heatmaps(asked, found, rolled), "share of attention", (note,))


class _Seen(TorchFunctionMode):
    """Remembers the attention weights (N, T, T), the mean over heads, of every layer that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[torch.Tensor] = []
        self._within = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func is F.scaled_dot_product_attention:
            self._keep(_weights(*args, **kwargs))
        elif func in _SOFTMAX and out.ndim == 4:
            self._keep(out)
        return out

    def _keep(self, p: torch.Tensor) -> None:
        if p.ndim == 4 and p.shape[2] == p.shape[3]:
            self.layers.append(p.mean(1))


def _weights(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """The weights that `scaled_dot_product_attention` does not give away."""
    mask = args[0] if args else kwargs.get("attn_mask")
    scale = kwargs.get("scale") or q.shape[-1] ** -0.5
    scores = torch.matmul(q * scale, k.transpose(-2, -1))
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else scores + mask
    return torch.softmax(scores, dim=-1)


def _rolled(layers: list[torch.Tensor]) -> torch.Tensor:
    """The product over layers (N, T, T), the last one first."""
    product = torch.eye(layers[0].shape[1]).to(layers[0]).expand_as(layers[0])
    for layer in layers:
        product = torch.matmul(0.5 * (layer + torch.eye(layer.shape[1]).to(layer)), product)
    return product


def _of_one(network: Network, inputs: Given) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    maps, weights, alone = {}, {}, []
    with still(network), torch.no_grad():
        for role in network.roles:
            x, mask = inputs.x[role], inputs.mask[role]
            features, within = _slices(network, role, x, mask)
            pool = network.pools[role]
            bags = pool.inner(features, mask)  # type: ignore[operator]
            inner = pool.inner.weights(features, mask)  # type: ignore[operator, union-attr]
            if isinstance(pool.inner, TransformerPool):
                inner = torch.matmul(inner, _over_slices(pool.inner, features, mask))
            elif within is None:
                alone.append(role)
            share = pool.outer.weights(bags, mask.amax(2).unsqueeze(1))  # type: ignore[operator, union-attr]
            weights[role] = torch.matmul(share, inner).squeeze(1)
            cells = torch.ones(*x.shape[:2], 1, 1).to(features) if within is None else within
            maps[role] = cells * weights[role][:, :, None, None]
    if len(alone) == len(network.roles):
        raise UsageError(
            f"Attention rollout needs a transformer, and '{alone[0]}' has one neither as its encoder nor as its pool "
            "(nor one whose tokens all attend to all); use --method class_map, which writes the slices' weights too."
        )
    return maps, weights


def _over_slices(pool: TransformerPool, features: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """What of each slice (columns) is in each corrected slice (rows), (N, S, S)."""
    with _Seen() as seen:
        pool.weights(features, mask)
    rolled = _rolled(seen.layers)
    return 0.5 * (rolled + torch.eye(rolled.shape[1]).to(rolled))


def _slices(
    network: Network, role: str, x: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Slice features (N, S, E), and the shares of the cells of each slice (N, S, h, w) where the encoder has them."""
    n, s = x.shape[:2]
    encoder = network.encoders[role]
    if encoder.volumetric:
        return network.feature_maps(role, x, mask).mean((3, 4)), None
    features, shares = [], []
    for row in range(n):  # a case at a time: the weights of every layer are held
        with _Seen() as seen:
            maps = network.feature_maps(role, x[row : row + 1], mask[row : row + 1])[0]
        features.append(maps.mean((2, 3)))
        shares.append(_cells(encoder, seen.layers, maps))
    whole = None if any(c is None for c in shares) else torch.stack([c for c in shares if c is not None])
    return torch.stack(features).view(n, s, -1), whole


def _cells(encoder: nn.Module, layers: list[torch.Tensor], maps: torch.Tensor) -> torch.Tensor | None:
    """Shares (S, h, w), summing to 1 over a slice; None where the layers are not of all tokens to all."""
    count, (h, w) = maps.shape[0], maps.shape[2:]
    first = int(getattr(encoder, "prefix_tokens", 0))
    if not layers or any(layer.shape[:2] != (count, first + h * w) for layer in layers):
        return None
    rows = _rolled(layers)[:, first:, first:].mean(1)
    return torch.unflatten(rows / rows.sum(1, keepdim=True), 1, (h, w))
