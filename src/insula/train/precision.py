"""In which number format a device trains."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch

from insula.core.errors import TrainingError

Wanted = Literal["auto", "fp32", "bf16", "fp16"]


class Precision(NamedTuple):
    """Lightning's name of the precision, and a sentence on why it was taken."""

    name: Literal["32-true", "bf16-mixed", "16-mixed"]
    reason: str


def choose(wanted: Wanted, cuda: bool, bf16: bool) -> Precision:
    """The precision for a device: `cuda` says whether it is a GPU of NVIDIA's, `bf16` whether it computes in bfloat16.

    `auto` takes bfloat16 on a GPU that has it, half precision with a scaled loss on an older one, and single precision
    on a CPU, where bfloat16 without instructions of its own trained 12 times slower. Raises TrainingError for a format
    that the device does not have.
    """
    if wanted == "fp32":
        return Precision("32-true", "Single precision, as the recipe asks.")
    if wanted == "fp16":
        if not cuda:
            raise TrainingError("train.precision = fp16 needs a CUDA GPU and there is none; set it to auto or fp32.")
        return Precision("16-mixed", "Half precision with a scaled loss, as the recipe asks.")
    if wanted == "bf16":
        if cuda and not bf16:
            raise TrainingError("train.precision = bf16 needs a newer GPU (compute capability 8); set it to auto.")
        slow = "" if cuda else " On a CPU it is often much slower than fp32."
        return Precision("bf16-mixed", f"bfloat16, as the recipe asks.{slow}")
    if not cuda:
        return Precision("32-true", "Single precision: the run is on a CPU.")
    if bf16:
        return Precision("bf16-mixed", "bfloat16: the GPU has it.")
    return Precision("16-mixed", "Half precision with a scaled loss: the GPU has no bfloat16.")


def here(wanted: Wanted, accelerator: str = "auto") -> Precision:
    """The precision for this machine; with accelerator `cpu` the GPU is left out of account."""
    cuda = accelerator != "cpu" and torch.cuda.is_available()
    return choose(wanted, cuda, cuda and torch.cuda.is_bf16_supported(including_emulation=False))
