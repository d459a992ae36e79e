"""Stages of training: first the head on a frozen encoder, then its last blocks, then all, each at its own rate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from insula.core.errors import TrainingError
from insula.core.recipe import Train

Part = Literal["head", "last_blocks", "all"]


@dataclass(frozen=True)
class Stage:
    """Some epochs in which one part of the network trains.

    start: the first epoch, from 0. blocks: how many of the encoder's last blocks train (`last_blocks` alone).
    hard_round: number of the hard-negative round, from 1; 0 for an ordinary stage.
    """

    train: Part
    start: int
    epochs: int
    lr: float
    blocks: int = 1
    hard_round: int = 0

    @property
    def stop(self) -> int:
        """The first epoch after the stage."""
        return self.start + self.epochs

    @property
    def line(self) -> str:
        """One sentence for the log."""
        part = {
            "head": "the head alone trains",
            "last_blocks": f"the head and the encoder's last {self.blocks} block(s) train",
            "all": "all weights train",
        }[self.train]
        hard = f"hard-negative round {self.hard_round}: " if self.hard_round else ""
        return f"From epoch {self.start + 1} on {hard}{part}, at a learning rate of {self.lr:g}."


def plan(section: Train) -> tuple[Stage, ...]:
    """The recipe's stages one after another, then its hard-negative rounds.

    Without stages there is one, of `epochs` epochs, that trains all; with stages their own epochs count and `epochs`
    does not. A stage without `lr` has the section's. Hard-negative rounds train what the last stage trained, at its
    rate.
    """
    found: list[Stage] = []
    start = 0
    for stage in section.stages:
        found.append(
            Stage(stage.train, start, stage.epochs, section.lr if stage.lr is None else stage.lr, stage.blocks)
        )
        start += stage.epochs
    if not found:
        found.append(Stage("all", 0, section.epochs, section.lr))
        start = section.epochs
    last = found[-1]
    for k in range(section.hard_negatives.rounds):
        found.append(Stage(last.train, start, section.hard_negatives.epochs, last.lr, last.blocks, k + 1))
        start += section.hard_negatives.epochs
    return tuple(found)


def stage_at(epoch: int, stages: Sequence[Stage]) -> Stage:
    """The stage that an epoch belongs to; after the end, the last one."""
    return next((s for s in stages if epoch < s.stop), stages[-1])


def apply(network: nn.Module, stage: Stage) -> None:
    """Put the network in training mode with the stage's part free and the rest of its encoders frozen.

    Frozen parameters get no gradient (and what lies before the first free one costs no backward pass). Frozen modules
    are in evaluation mode: their batch norm keeps its statistics and their stochastic depth is off. Only the encoders
    are ever frozen; pooling, fusion and heads train in every stage. Call it at the start of each epoch, because
    `network.train()` thaws the statistics. Raises TrainingError when `blocks` is more than an encoder has.
    """
    network.train()
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    if stage.train == "all":
        return
    for encoder in encoders(network):
        free: set[str] = set()
        if stage.train == "last_blocks":
            order = blocks(encoder)
            if stage.blocks > len(order):
                raise TrainingError(
                    f"A stage of train.stages asks for the last {stage.blocks} blocks and the encoder has "
                    f"{len(order)}; give a smaller number, or train: all."
                )
            free = {name for block in order[-stage.blocks :] for name in block}
        for name, parameter in encoder.named_parameters():
            parameter.requires_grad_(name in free)
        for module in encoder.modules():
            own = list(module.parameters())
            if own and not any(p.requires_grad for p in own):
                module.eval()


def encoders(network: nn.Module) -> list[nn.Module]:
    """The encoders of a network: its `encoders` by role, or its `encoder`."""
    several = getattr(network, "encoders", None)
    if isinstance(several, nn.ModuleDict):
        return list(several.values())
    single = getattr(network, "encoder", None)
    if isinstance(single, nn.Module):
        return [single]
    raise TrainingError(f"{type(network).__name__} has no encoder to freeze; train it in one stage (train: all).")


def blocks(encoder: nn.Module) -> list[list[str]]:
    """The encoder's blocks from input to output, each as the names of its parameters.

    timm's networks say themselves how they are cut (`group_matcher`): the stem, then the stages of a ResNet or a Swin,
    the blocks of a ViT. Others (SimpleCNN, the networks of volumes) are cut at the first level that has more than
    one child with weights. What holds no weights of two dimensions, like a norm, belongs to the block before it; so
    does what timm leaves out of its blocks (the last norm or the last 1×1 convolution).
    """
    prefix, module = _inner(encoder)
    matcher = getattr(module, "group_matcher", None)
    found = _timm_blocks(module, matcher(coarse=True)) if callable(matcher) else _child_blocks(module)
    return [[prefix + name for name in block] for block in found]


def _inner(module: nn.Module) -> tuple[str, nn.Module]:
    """The module under wrappers that hold one child alone, and the prefix of its parameters' names."""
    prefix = ""
    while not hasattr(module, "group_matcher") and not any(True for _ in module.parameters(recurse=False)):
        inside = [(k, m) for k, m in module.named_children() if any(True for _ in m.parameters())]
        if len(inside) != 1:
            break
        prefix += f"{inside[0][0]}."
        module = inside[0][1]
    return prefix, module


def _timm_blocks(module: nn.Module, matcher: Any) -> list[list[str]]:
    from timm.models import group_parameters

    order: dict[str, int] = group_parameters(module, matcher, reverse=True)
    found: dict[int, list[str]] = {}
    rest: list[str] = []
    for name, number in order.items():
        (found.setdefault(number, []) if _named(name, matcher) else rest).append(name)
    ordered = [found[number] for number in sorted(found)]
    ordered[-1] += rest
    return _with_weights(ordered, module)


def _named(name: str, matcher: Any) -> bool:
    """Whether timm's matcher puts this parameter in a block; it may be a function, which leaves nothing out."""
    if not isinstance(matcher, dict):
        return True
    specs = [spec for spec in matcher.values() if spec is not None]
    patterns = [p for spec in specs for p in ([spec] if isinstance(spec, str) else [s[0] for s in spec])]
    return any(re.match(p, name) for p in patterns)


def _child_blocks(module: nn.Module) -> list[list[str]]:
    own = [name for name, _ in module.named_parameters(recurse=False)]
    children = [
        [f"{child}.{name}" for name, _ in inside.named_parameters()] for child, inside in module.named_children()
    ]
    return _with_weights([own, *children], module)


def _with_weights(found: list[list[str]], module: nn.Module) -> list[list[str]]:
    shapes = {name: p.ndim for name, p in module.named_parameters()}
    out: list[list[str]] = []
    for block in found:
        if not block:
            continue
        if out and all(shapes[name] < 2 for name in block):
            out[-1] += block
        else:
            out.append(list(block))
    return out
