"""Grad-CAM++ in closed form, for every column at once."""

from __future__ import annotations

import torch

from insula.explain.rebuild import Given, by_parts
from insula.explain.still import still
from insula.infer.explainer import Asked, Explained, as_heatmaps
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.train.of_bundle import members


def grad_cam_pp(network: Network | Ensemble, inputs: Given) -> dict[str, torch.Tensor]:
    """By role the maps (N, K, S, h, w) of all columns, no backward pass; the mean over an ensemble's members.

    Chattopadhyay, Sarkar, Howlader, Balasubramanian, WACV 2018, eq. 5, 6 and 19: with g the derivative of the score by
    a cell of feature map A, α = g² / (2g² + ΣA·g³), w = Σ α·ReLU(g) and the map ReLU(Σ w·A), the sums over the cells of
    one slice. Features are pooled by their mean, so that g is s/(h·w) in every cell, with s the slope of heads, fusion
    and pooling; with f the mean of A this makes w = ReLU(s) / (2 + s·f). The paper's eˢ before w is left out, being one
    factor for all cells of a column: the heat has no unit, and is comparable within a case alone.

    The paper takes A to be 0 or more, as after a ReLU. Of maps that can be below 0 the sum in α is taken over their
    positive part; otherwise the denominator could pass through 0.
    """
    each = [_of_one(member, inputs) for member in members(network)]
    return {role: torch.stack([maps[role] for maps in each]).mean(0) for role in each[0]}


def explain(asked: Asked) -> Explained:
    """The map of the asked column, of a bundle's network."""
    k = asked.column
    found, outputs = by_parts(
        asked, lambda network, inputs: {r: m[:, k] for r, m in grad_cam_pp(network, inputs).items()}
    )
    return Explained(as_heatmaps(asked, found, outputs.slice_weights), "no unit")


def _of_one(network: Network, inputs: Given) -> dict[str, torch.Tensor]:
    found = {}
    with still(network), torch.no_grad():
        chain = network.chain(*inputs)
        for role in network.roles:
            maps, slope = chain.maps[role], chain.slopes[role]
            positive = torch.relu(maps).mean((3, 4)).unsqueeze(1)  # f (N, 1, S, E)
            up = torch.relu(slope)
            weight = up / (2.0 + up * positive)
            found[role] = torch.relu(torch.einsum("nkse,nseyx->nksyx", weight, maps))
    return found
