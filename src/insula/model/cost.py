"""What an encoder costs: parameters, multiply-adds, and the activations that a training step keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from insula.model.encoders import build_encoder
from insula.model.memory import use_checkpoints


@dataclass(frozen=True)
class Cost:
    """The cost of one input, which is a picture or a volume.

    multiply_adds counts convolutions, linear layers and both products of attention, once for each multiplication with
    its addition, as papers do. kept is the memory in bytes of the activations that the backward pass needs, in 32-bit
    floats and without the weights; kept_checkpointed the same when the stages are recomputed.
    """

    parameters: int
    multiply_adds: int
    features: int
    cells: tuple[int, int]
    kept: int
    kept_checkpointed: int


def cost(name: str, channels: int, size: tuple[int, int], slices: int = 1) -> Cost:
    """The cost of a named encoder for an input of C channels, `size` (H, W) and, for a volumetric one, S slices.

    Nothing is computed: shapes alone run through PyTorch's meta device, so a large network takes seconds and no
    memory. TrainingError as in `build_encoder`.
    """
    with torch.device("meta"):
        encoder = build_encoder(name, channels, False, size)
        shape = (1, channels, slices, *size) if encoder.volumetric else (1, channels, *size)
        inputs = (torch.zeros(shape), torch.ones(1, slices)) if encoder.volumetric else (torch.zeros(shape),)
        counted = multiply_adds(encoder.eval(), inputs)
        plain = kept_bytes(encoder, inputs)
        use_checkpoints(encoder)
        recomputed = kept_bytes(encoder, inputs)
    return Cost(
        parameters=sum(p.numel() for p in encoder.parameters()),
        multiply_adds=counted,
        features=int(encoder.num_features),  # type: ignore[arg-type]
        cells=encoder.cells,  # type: ignore[arg-type]
        kept=plain,
        kept_checkpointed=recomputed,
    )


def multiply_adds(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Multiply-adds of one forward pass, counted operator by operator (PyTorch counts two operations for each)."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator for all of attention would count as nothing
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            module(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return int(counter.get_total_flops()) // 2


def kept_bytes(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> int:
    """Bytes that autograd keeps from a forward pass for its backward pass, each storage once, without parameters."""
    weights = {p.untyped_storage()._cdata for p in module.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage  # holding it keeps its address from being used again
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(pack, lambda tensor: tensor):
        module(*inputs)
    return sum(storage.nbytes() for storage in kept.values())
