"""A recipe of two roles, clinical columns and targets of every kind, and made inputs for its network."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.model.network import Network, Shape

M = TypeVar("M", bound=nn.Module)
SIDE = 16
SHAPES: dict[str, Shape] = {"ct": (2, SIDE, SIDE), "mri": (1, SIDE, SIDE)}
INPUTS: dict[str, Any] = {
    "ct": {"modality": "CT", "prep": [{"windows": [[40, 80], [80, 200]]}, {"resize": SIDE}]},
    "mri": {"modality": "MR", "prep": [{"percentile": [0, 100]}, {"resize": SIDE}]},
}
CLINICAL: dict[str, Any] = {"age": {}, "sex": {"kind": "category", "values": ["F", "M"]}}
TARGETS: dict[str, Any] = {
    "tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"], "primary": "malignant"},
    "stage": {"kind": "ordinal", "classes": ["I", "II", "III", "IV"]},
    "death": {"kind": "survival", "time": "days", "event": "dead", "horizons": [100, 300, 9000]},
    "volume": {"kind": "regression", "column": "ml"},
}
MORE: dict[str, Any] = {
    "bleed": {"kind": "binary", "classes": ["no", "yes"]},
    "signs": {"kind": "multilabel", "classes": ["any", "shift"], "primary": "any"},
}


def recipe(
    inputs: tuple[str, ...] = ("ct", "mri"), clinical: bool = True, targets: dict[str, Any] | None = None, **model: Any
) -> Recipe:
    """The recipe, or a part of it; model: keys of its section."""
    return recipes.parse(
        {
            "name": "fused",
            "question": "What does this made head show?",
            "seed": 3,
            "inputs": {role: INPUTS[role] for role in inputs},
            "clinical": CLINICAL if clinical else {},
            "targets": TARGETS if targets is None else targets,
            "model": {"encoder": "simple_cnn", "features": 24, **model},
        },
        "made",
    )


def stirred(module: M, seed: int = 5) -> M:
    """All weights and statistics at random, of a size at which every branch of a derivative matters."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.named_parameters():
            width = value[0].numel() if value.ndim > 1 else 4
            noise = torch.randn(value.shape, generator=draw).to(value)
            value.copy_(noise * (1.5 / width**0.5) + (1.0 if name.endswith("layers.1.weight") else 0.0))
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=draw) * 0.1)
    return module


def network(made: Recipe, seed: int = 5) -> Network:
    """The recipe's network in evaluation, with stirred weights and a scaled regression."""
    net = stirred(Network(made, SHAPES), seed).eval()
    for name, target in made.targets.items():
        if target.kind == "regression":
            net.heads.set_scale(name, 30.0, 8.0)
    return net


def masks(cases: list[list[int]]) -> torch.Tensor:
    """Masks (N, B, S) of cases given as sizes of their bags; an empty list is a case without the role."""
    wide, bags = max([1, *(sum(c) for c in cases)]), max([1, *(len(c) for c in cases)])
    mask = torch.zeros(len(cases), bags, wide)
    for i, sizes in enumerate(cases):
        at = 0
        for b, size in enumerate(sizes):
            mask[i, b, at : at + size] = 1.0
            at += size
    return mask


def given(
    made: Recipe, bags: dict[str, list[list[int]]], seed: int = 0
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor | None]:
    """Random pictures, masks and clinical columns (one of them missing) for cases with bags of these sizes."""
    draw = torch.Generator().manual_seed(seed)
    mask = {role: masks(bags[role]) for role in made.inputs}
    x = {role: torch.rand(len(m), m.shape[2], *SHAPES[role], generator=draw) for role, m in mask.items()}
    if not made.clinical:
        return x, mask, None
    clinical = torch.randn(len(mask[made.role]), 3, generator=draw)
    clinical[-1, 1:] = float("nan")
    return x, mask, clinical


def values(module: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of everything that a module keeps."""
    return {k: v.clone() for k, v in module.state_dict().items()}
