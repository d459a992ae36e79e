"""Guided backpropagation: the gradient of a score by the pixels, with only what is positive let back through a ReLU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from insula.core.errors import UsageError
from insula.explain.rebuild import Given, by_parts
from insula.explain.still import still
from insula.infer.explainer import BRIGHTEST, Asked, Explained, as_heatmaps
from insula.model.ensemble import Ensemble
from insula.model.network import Network
from insula.train.of_bundle import members

_RELU = {F.relu, F.relu_, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_}
_OTHERS = {
    F.gelu: "GELU", F.silu: "SiLU", F.hardswish: "Hardswish", F.leaky_relu: "leaky ReLU", F.elu: "ELU", F.mish: "Mish",
    F.relu6: "ReLU6", F.hardtanh: "ReLU6",
}  # fmt: skip


def guided_backprop(network: Network | Ensemble, inputs: Given, column: int) -> dict[str, torch.Tensor]:
    """By role how strongly a column answers to each pixel (N, S, H, W): the largest magnitude over the channels.

    Springenberg, Dosovitskiy, Brox, Riedmiller, ICLR workshop 2015, section 3.4; the magnitude as in Simonyan, Vedaldi,
    Zisserman, 2014, section 3. The rule is put in place of every ReLU while the network runs, whether it is a module or
    a function, so that no hook is ever set. UsageError where an encoder has another activation, for which the rule says
    nothing. Note that the picture depends little on the column (Adebayo et al., NeurIPS 2018).
    """
    parts = [_of_one(member, inputs, column) for member in members(network)]
    return {role: torch.stack([part[role] for part in parts]).mean(0) for role in parts[0]}


def explain(asked: Asked) -> Explained:
    """How the asked column answers to each pixel, of a bundle's network."""
    found, outputs = by_parts(asked, lambda network, inputs: guided_backprop(network, inputs, asked.column))
    note = "guided backpropagation shows edges that the network answers to, and hardly depends on the class"
    return Explained(as_heatmaps(asked, found, outputs.slice_weights), "score per value of a pixel", (note,), BRIGHTEST)


class _GuidedRelu(torch.autograd.Function):
    """ReLU whose gradient is let through where input and gradient are both above 0."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x > 0)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        (alive,) = ctx.saved_tensors
        return torch.where(alive, grads[0].clamp(min=0), torch.zeros_like(grads[0]))


class _Guided(TorchFunctionMode):
    """Puts `_GuidedRelu` in place of every ReLU."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _RELU:
            return _GuidedRelu.apply(args[0] if args else kwargs["input"])
        return func(*args, **(kwargs or {}))


class _Activations(TorchFunctionMode):
    """Remembers which activations were called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _RELU or func in _OTHERS:
            self.seen.add("ReLU" if func in _RELU else _OTHERS[func])
        return func(*args, **(kwargs or {}))


def _of_one(network: Network, inputs: Given, column: int) -> dict[str, torch.Tensor]:
    with still(network):
        _check(network, inputs)
        with torch.enable_grad(), _Guided():
            x = {role: t.detach().clone().requires_grad_(True) for role, t in inputs.x.items()}
            columns = network(x, inputs.mask, inputs.clinical)
            grads = torch.autograd.grad(columns[:, column].sum(), list(x.values()), allow_unused=True)
    found = {}
    for (role, t), grad in zip(x.items(), grads, strict=True):
        found[role] = torch.zeros_like(t[:, :, 0]) if grad is None else grad.abs().amax(2)
        found[role] = found[role].detach()
    return found


def _check(network: Network, inputs: Given) -> None:
    """Refuse an encoder whose activations are not ReLUs, seen on one empty slice."""
    for role in network.roles:
        encoder, one = network.encoders[role], torch.zeros_like(inputs.x[role][:1, 0])
        with torch.no_grad(), _Activations() as activations:
            if encoder.volumetric:
                encoder(one.unsqueeze(2), torch.ones_like(one[:, :1, 0, 0]))
            else:
                encoder(one)
        other = sorted(activations.seen - {"ReLU"})
        if other or not activations.seen:
            raise UsageError(
                f"Guided backpropagation is a rule for ReLU, and the encoder of '{role}' has "
                f"{' and '.join(other) or 'none'}; use --method integrated_gradients."
            )
