"""Integrated gradients by Captum."""

from __future__ import annotations

import torch
from captum.attr import IntegratedGradients  # type: ignore[import-untyped]

from insula.explain.rebuild import Given, Maps, by_parts
from insula.explain.still import still
from insula.infer.explainer import BRIGHTEST, Asked, Explained, as_heatmaps
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.train.of_bundle import members

_SLICES = 32  # at a time


def integrated_gradients(
    network: Network | Ensemble, inputs: Given, column: int, steps: int = 50
) -> tuple[dict[str, torch.Tensor], float]:
    """By role what each pixel adds to a column (N, S, H, W), and how far the sum is from what it has to be.

    Sundararajan, Taly, Yan, ICML 2017: from a black picture (0 in every channel) to the scan in `steps` steps of
    Gauss-Legendre, channels added up. The pixels of all roles together add up to the column's difference between scan
    and black (completeness); the second value is the largest gap in it over the N inputs, in the column's unit. Columns
    of an ensemble are means over its members, and so is what the pixels add.
    """
    networks = members(network)
    parts = [_of_one(one, inputs, column, steps) for one in networks]
    heat = {role: torch.stack([found[role] for found, _ in parts]).mean(0) for role in inputs.x}
    gap = torch.stack([delta for _, delta in parts]).mean(0).abs().max()
    return heat, float(gap)


def explain(asked: Asked) -> Explained:
    """What each pixel adds to the asked column, of a bundle's network, with the gap in a note."""
    gaps: list[float] = []

    def ask(network: Network | Ensemble, inputs: Given) -> Maps:
        heat, gap = integrated_gradients(network, inputs, asked.column, asked.steps)
        gaps.append(gap)
        return heat

    found, outputs = by_parts(asked, ask)
    note = f"the pixels add up to the score's difference from a black picture within {max(gaps):.2g}"
    return Explained(as_heatmaps(asked, found, outputs.slice_weights), "score per pixel", (note,), BRIGHTEST)


def _of_one(network: Network, inputs: Given, column: int, steps: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    roles = [role for role in network.roles if bool(inputs.mask[role].any())]  # no gradient reaches a missing role
    n = len(inputs.x[network.roles[0]])
    most = max(t.shape[0] * t.shape[1] for t in inputs.x.values())

    def forward(*tensors: torch.Tensor) -> torch.Tensor:
        given = dict(zip([*roles, *(f"{role}_mask" for role in network.roles), "clinical"], tensors, strict=False))
        masks = {role: given[f"{role}_mask"] for role in network.roles}
        x = {role: given[role] if role in roles else _empty(inputs.x[role], masks[role]) for role in network.roles}
        columns: torch.Tensor = network(x, masks, given.get("clinical"))
        return columns

    fixed = (*(inputs.mask[role] for role in network.roles), *(() if inputs.clinical is None else (inputs.clinical,)))
    with still(network), torch.enable_grad():
        found, delta = IntegratedGradients(forward).attribute(
            tuple(inputs.x[role].detach() for role in roles),
            target=column,
            additional_forward_args=fixed,
            n_steps=steps,
            internal_batch_size=n * max(1, _SLICES // most),
            return_convergence_delta=True,
        )
    heat = {role: torch.zeros_like(t[:, :, 0]) for role, t in inputs.x.items()}
    heat |= {role: part.detach().sum(2) for role, part in zip(roles, found, strict=True)}
    return heat, delta.detach()


def _empty(like: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return like.new_zeros((len(mask), *like.shape[1:]))
