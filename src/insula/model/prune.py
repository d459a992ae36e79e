"""Fewer channels in a trained network's encoders, or fewer weights that are not zero.

Channels are taken out for real: the layers become narrower, and so the network smaller and faster. Weights that are set
to zero one by one leave every layer as it was; nothing gets faster by them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from insula.core.errors import ExportError
from insula.model.network import Network, Shape

_MULTIPLE = 8  # channels; vector instructions take as many at a time
_SIDE = 64  # pixels at most of the picture by which layers are traced


@dataclass(frozen=True)
class Pruned:
    """What was taken out of the encoders: parameters before and after, and groups of layers that became narrower."""

    before: int
    after: int
    groups: int
    left: int


def channels(network: Network, shapes: Mapping[str, Shape], keep: float) -> Pruned:
    """Keep this share of the channels of each group of layers that have to have the same ones, in place.

    Kept are those whose weights have the largest norm over the whole group (Fang et al. 2023, DepGraph), a multiple of
    8 of them. The channels that pooling and heads see stay all. Raises ExportError for an encoder without layers that
    can be made narrower (transformers, volumes).
    """
    before = _parameters(network)
    counts = [_encoder(encoder, shapes[role], keep, role) for role, encoder in network.encoders.items()]
    groups, left = (sum(each) for each in zip(*counts, strict=True))
    return Pruned(before, _parameters(network), groups, left)


def weights(network: Network, keep: float) -> dict[str, torch.Tensor]:
    """Set the smallest weights of the encoders' layers to zero, in place; gives name → where weights were kept.

    keep: the share, over all layers together, that keeps its value (Han et al. 2015). Norms and biases are left alone.
    """
    chosen = {name: p for name, p in network.named_parameters() if name.startswith("encoders.") and p.ndim > 1}
    sizes = torch.cat([p.detach().abs().flatten() for p in chosen.values()])
    drop = len(sizes) - max(1, round(keep * len(sizes)))
    limit = float(sizes.kthvalue(drop).values) if drop else -1.0
    masks = {name: p.detach().abs() > limit for name, p in chosen.items()}
    with torch.no_grad():
        for name, p in chosen.items():
            p.mul_(masks[name])
    return masks


class _Seen(nn.Module):
    """An encoder with something behind it that needs all of its channels."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder, self.behind = encoder, nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        columns: torch.Tensor = self.behind(self.encoder(x).mean((2, 3)))
        return columns


def _encoder(encoder: nn.Module, shape: Shape, keep: float, role: str) -> tuple[int, int]:
    """Groups that became narrower, and groups that were left as they were."""
    import torch_pruning as tp

    if encoder.volumetric:
        raise ExportError(
            f"The encoder of '{role}' sees volumes, whose channels cannot be taken out; use int8 or distil."
        )
    was = encoder.training
    whole = _Seen(encoder.eval(), int(encoder.num_features))  # type: ignore[arg-type]
    graph = _traced(tp, whole, shape, role)
    rank = tp.importance.GroupMagnitudeImportance(p=2)
    done = left = 0
    kinds = [nn.Conv2d, nn.Linear]
    for group in graph.get_all_groups(ignored_layers=[whole.behind], root_module_types=kinds):
        layers = [dependency.target.module for dependency, _ in group]
        first, cut = layers[0], group[0].dep.handler
        width = graph.get_out_channels(first)
        fewer = width - min(width, max(_MULTIPLE, _MULTIPLE * round(keep * width / _MULTIPLE)))
        if fewer == 0 or whole.behind in layers or any(_fixed(layer) for layer in layers):
            left += 1
            continue
        worst = rank(group).argsort()[:fewer].tolist()
        chosen = graph.get_pruning_group(first, cut, worst)
        if not graph.check_pruning_group(chosen):
            left += 1
            continue
        chosen.prune()
        done += 1
    encoder.train(was)
    if not done:
        raise ExportError(
            f"The encoder of '{role}' has no group of more than {_MULTIPLE} channels that could be taken out; use int8 "
            "or distil."
        )
    return done, left


def _traced(tp: Any, whole: _Seen, shape: Shape, role: str) -> Any:
    picture = torch.zeros(1, shape[0], min(shape[1], _SIDE), min(shape[2], _SIDE))
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("error")  # it warns of weights outside of layers, and would cut them by a guess
        try:
            return tp.DependencyGraph().build_dependency(whole, example_inputs=picture)
        except Exception as error:  # the library has no errors of its own
            raise ExportError(
                f"The channels of the encoder of '{role}' cannot be told apart (it has weights outside of layers, as "
                "transformers have, or takes no small picture); use int8 or distil."
            ) from error


def _fixed(layer: nn.Module) -> bool:
    """Whether a layer's channels belong together in sets that must stay whole."""
    groups = int(getattr(layer, "groups", 1)) if isinstance(layer, nn.Conv2d) else 1
    return isinstance(layer, nn.GroupNorm) or (groups > 1 and groups != getattr(layer, "in_channels", groups))


def _parameters(network: Network) -> int:
    return sum(math.prod(p.shape) for encoder in network.encoders.values() for p in encoder.parameters())
