"""Feature maps and the derivative of every column by their means, in forward operations."""

from __future__ import annotations

import torch

from insula.explain.rebuild import Given
from insula.model.network import Network


def slopes(network: Network, inputs: Given) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """By role the feature maps (N, S, E, h, w), and the slope (N, K, S, E) of each column by each slice's mean feature.

    The chain of `Network.explain`: heads, then fusion, then both levels of pooling.
    """
    maps = {role: network._maps(role, inputs.x[role], inputs.mask[role]) for role in network.roles}
    f = {role: maps[role].mean((3, 4)) for role in network.roles}
    z = {role: network.pools[role](f[role], inputs.mask[role]) for role in network.roles}
    extra, there = network._there(inputs.mask, inputs.clinical)
    g = network.heads.slope(network._embedding(z, extra, there))
    found = {}
    for role in network.roles:
        back = g if network.fusion is None else network.fusion.slope(role, {**z, **extra}, there, g)
        slope: torch.Tensor = network.pools[role].slope(f[role], inputs.mask[role], back)  # type: ignore[operator]
        found[role] = (maps[role], slope)
    return found
