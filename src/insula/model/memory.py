"""How an encoder keeps its activations: recomputed in the backward pass or not, and in which order of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.hooks import RemovableHandle

from insula.core.errors import TrainingError


@dataclass
class _OneCount:
    """Keeps batch norm from counting a batch twice, since a recomputed stage meets the same batch again.

    From the first gradient that reaches the encoder's output until its next forward pass, the running statistics stand
    still, so a recomputed run ends with the same statistics.
    """

    recomputing: bool = False

    def begin(self, encoder: nn.Module, inputs: Any) -> None:
        """Before a forward pass: count."""
        self.recomputing = False

    def watch(self, encoder: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        """After a forward pass: wait for the gradient."""
        if output.requires_grad:
            output.register_hook(self._arrived)  # type: ignore[no-untyped-call]

    def _arrived(self, gradient: torch.Tensor) -> None:
        self.recomputing = True

    def hold(self, norm: _BatchNorm, inputs: Any) -> None:
        """Before a norm: a momentum of 0 and no counter while a stage is recomputed."""
        if self.recomputing and norm.training:
            norm.__dict__["held"] = (norm.momentum, norm.num_batches_tracked)
            norm.momentum, norm.num_batches_tracked = 0.0, None

    def release(self, norm: _BatchNorm, inputs: Any, output: Any) -> None:
        """After a norm, even one that recomputing broke off: as before."""
        if "held" in norm.__dict__:
            norm.momentum, norm.num_batches_tracked = norm.__dict__.pop("held")

    def hooks(self, encoder: nn.Module) -> list[RemovableHandle]:
        """Everything hung on the encoder."""
        norms = [m for m in encoder.modules() if isinstance(m, _BatchNorm)]
        return [
            encoder.register_forward_pre_hook(self.begin),
            encoder.register_forward_hook(self.watch),
            *(norm.register_forward_pre_hook(self.hold) for norm in norms),
            *(norm.register_forward_hook(self.release, always_call=True) for norm in norms),
        ]


def use_checkpoints(encoder: nn.Module, on: bool = True) -> None:
    """Let the backward pass recompute the encoder's stages instead of keeping their activations, or stop it.

    The gradients and the running statistics of batch norm stay those of the run without; time grows by about a third,
    memory falls to the stages' borders and one stage. TrainingError for an encoder that has no stages to recompute.
    """
    backbone = getattr(encoder, "backbone", None)
    if not hasattr(encoder, "checkpoints") or (backbone and not hasattr(backbone, "set_grad_checkpointing")):
        raise TrainingError(_refusal(encoder))
    if backbone is not None:
        try:
            backbone.set_grad_checkpointing(on)
        except (AssertionError, NotImplementedError) as error:  # timm's answer for backbones without it
            raise TrainingError(_refusal(encoder)) from error
    encoder.checkpoints = on  # type: ignore[assignment]
    for handle in encoder.__dict__.pop("checkpoint_hooks", ()):
        handle.remove()
    if on:
        encoder.__dict__["checkpoint_hooks"] = _OneCount().hooks(encoder)


def channels_last(network: nn.Module) -> nn.Module:
    """The network with its convolutions' weights in channels-last order, 2-D and 3-D ones alike.

    `Module.to(memory_format=…)` takes one order for all and refuses a network that holds both.
    """
    for parameter in network.parameters():
        if parameter.ndim in (4, 5):
            order = torch.channels_last if parameter.ndim == 4 else torch.channels_last_3d
            parameter.data = parameter.data.contiguous(memory_format=order)
    return network


def _refusal(encoder: nn.Module) -> str:
    inner = getattr(encoder, "backbone", encoder)
    return (
        f"{type(inner).__name__} cannot recompute its stages in the backward pass; choose another encoder, fewer "
        "slices a case, or a smaller batch."
    )
