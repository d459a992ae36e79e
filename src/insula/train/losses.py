"""The losses of the target kinds and their weighted sum; class weights come from the training labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed
import torch.nn.functional as F
from torch import nn

from insula.core.errors import TrainingError
from insula.core.recipe import Recipe, Target
from insula.train.cox import partial_likelihood
from insula.train.focal import exclusive, together

_HEAVIEST = 10.0

Labels = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class LabelFacts:
    """What the training labels of a target look like.

    total: known inputs. counts: of them with each class or label (survival: with an event). mean, std: of a regression
    label, in its own unit; 0 and 1 for the other kinds.
    """

    total: float
    counts: tuple[float, ...]
    mean: float = 0.0
    std: float = 1.0


def label_facts(recipe: Recipe, y: Labels, known: Labels, draws: torch.Tensor | None = None) -> dict[str, LabelFacts]:
    """The facts of each target, from the labels of all training inputs.

    y: target → (N, columns), as in `JointLoss`. known: target → (N,). draws: how often each input is drawn in an epoch
    (N,), where the sampling is not even, so that class weights do not make up twice for the same rarity. Raises
    TrainingError for a target without known labels, a survival target without events, a regression label that never
    varies.
    """
    return {name: _facts(name, target, y[name], known[name], draws) for name, target in recipe.targets.items()}


class JointLoss(nn.Module):
    """The weighted sum of the losses of all targets, each a mean over the inputs whose label is known.

    binary, multiclass, ordinal: Σ w·y·(1−p)^γ·(−log p) / Σ w·y over inputs and classes, which for hard labels and γ = 0
    is PyTorch's weighted cross-entropy (PyTorch itself divides by the batch size once labels are soft).
    multilabel: the mean binary loss over inputs and labels. survival: minus the log partial likelihood of the batch
    (Efron's ties) over its events. regression: Huber's loss (1964) of the error in standard deviations of the training
    labels, quadratic up to one of them.

    Where several processes train, the denominators are those of all of them together, and the risk sets too, so that
    the mean of their gradients is the gradient of one process with the whole batch. In evaluation mode each process
    has the loss of the cases that it is given.
    """

    def __init__(self, recipe: Recipe, facts: Mapping[str, LabelFacts]) -> None:
        super().__init__()
        section = recipe.train
        self.kinds = {name: target.kind for name, target in recipe.targets.items()}
        self.shares = {name: float(section.loss_weights.get(name, 1.0)) for name in recipe.targets}
        self.spreads = {name: facts[name].std for name in recipe.targets}
        self.smoothing, self.gamma = section.label_smoothing, section.focal
        for name, target in recipe.targets.items():
            if not target.graded:
                weight = _weights(facts[name], target) if section.class_weights else torch.ones(len(target.classes))
                self.register_buffer(f"weight_{name}", weight)

    def forward(self, outputs: Labels, y: Labels, known: Labels) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The joint loss, and each target's own before its weight (detached), for the log.

        outputs: target → (N, columns) of the network: one column a class ([0, l] for binary, log p for ordinal) or
        label, one log relative hazard, one predicted value. y: target → (N, label columns): one column a class or
        label, 0 to 1, soft or not; survival time and event; regression the value. known: target → (N,), above 0.5
        where the label is known; what stands in y elsewhere is not read. A target that nobody in the batch has a label
        for gives 0, with a gradient of 0.
        """
        parts, world = {}, _world() if self.training else 1
        for name, kind in self.kinds.items():
            there = known[name] > 0.5
            labels = torch.where(there[:, None], y[name].float(), 0.0)
            columns = outputs[name].float()  # under mixed precision the network's columns come in 16 bits
            if kind == "survival":
                parts[name] = _survival(columns[:, 0], labels, there, world)
            else:
                each, share = self._each(name, kind, columns, labels)
                parts[name] = torch.where(there, each, 0.0).sum() / _shared(torch.where(there, share, 0.0).sum(), world)
        total = torch.stack([self.shares[name] * part for name, part in parts.items()]).sum()
        return total, {name: part.detach() for name, part in parts.items()}

    def _each(self, name: str, kind: str, columns: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of each input (N,), and its share in the denominator (N,)."""
        if kind == "regression":
            scale = self.spreads[name]
            return F.huber_loss(columns[:, 0] / scale, y[:, 0] / scale, reduction="none"), torch.ones_like(y[:, 0])
        weight = self.get_buffer(f"weight_{name}")
        if kind == "multilabel":
            soft = y * (1.0 - self.smoothing) + 0.5 * self.smoothing
            return together(columns, soft, weight, self.gamma), torch.ones_like(y[:, 0])
        soft = y * (1.0 - self.smoothing) + self.smoothing / y.shape[1]
        return exclusive(columns, soft, weight, self.gamma), (y * weight).sum(1)


def _facts(name: str, target: Target, y: torch.Tensor, known: torch.Tensor, draws: torch.Tensor | None) -> LabelFacts:
    there = known > 0.5
    if not bool(there.any()):
        raise TrainingError(f"No training case has a label for '{name}'; label some, or remove the target.")
    share = torch.ones(int(there.sum())) if draws is None else draws[there].float()
    labels = y[there].float()
    total = float(share.sum())
    if target.kind == "regression":
        mean = float(labels[:, 0].mean())
        std = float(labels[:, 0].std(correction=0))
        if std == 0.0:
            raise TrainingError(f"All training labels of '{name}' are {mean:g}: there is nothing to learn of it.")
        return LabelFacts(total, (total,), mean, std)
    if target.kind == "survival":
        events = float(((labels[:, 1] > 0.5) * share).sum())
        if events == 0.0:
            raise TrainingError(f"No training case of '{name}' has an event; without events no hazard can be learnt.")
        return LabelFacts(total, (events,))
    return LabelFacts(total, tuple((labels * share[:, None]).sum(0).tolist()))


def _weights(facts: LabelFacts, target: Target) -> torch.Tensor:
    """Inverse frequency: n/(K·n_c) for classes, negatives/positives for labels, at most 10 so that no case rules."""
    counts = torch.tensor(facts.counts)
    if target.kind == "multilabel":
        weights = (facts.total - counts) / counts.clamp(min=1.0)
    else:
        weights = facts.total / (len(counts) * counts.clamp(min=1.0))
    return weights.clamp(1.0 / _HEAVIEST, _HEAVIEST)


def _survival(hazard: torch.Tensor, labels: torch.Tensor, there: torch.Tensor, world: int) -> torch.Tensor:
    """The mean over the events of the batch; with several processes over the cases of all of them."""
    time, event = labels[there, 0], labels[there, 1]
    own = hazard[there]
    if world == 1:
        return partial_likelihood(own, time, event) / (event > 0.5).sum().clamp(min=1)
    before, after, time, event = _gathered(world, own, time, event)
    whole = partial_likelihood(torch.cat([before, own, after]), time, event) / (event > 0.5).sum().clamp(min=1)
    # the value of all, and `world` times the gradient by the own cases, since the processes' gradients are averaged
    return whole * world - whole.detach() * (world - 1)


def _gathered(world: int, *own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Hazards of the processes before and after this one (without gradient), and times and events of all."""
    rank = torch.distributed.get_rank()
    size = torch.tensor([len(own[0])], device=own[0].device)
    sizes = [torch.zeros_like(size) for _ in range(world)]
    torch.distributed.all_gather(sizes, size)
    most = max(int(n) for n in sizes)
    mine = own[0].new_zeros(3, most)
    mine[:, : len(own[0])] = torch.stack([t.detach() for t in own])
    all_ = [torch.zeros_like(mine) for _ in range(world)]
    torch.distributed.all_gather(all_, mine)
    cut = [rows[:, : int(n)] for rows, n in zip(all_, sizes, strict=True)]
    empty = mine[:, :0]
    before, after = torch.cat([empty, *cut[:rank]], 1), torch.cat([empty, *cut[rank + 1 :]], 1)
    whole = torch.cat(cut, 1)
    return before[0], after[0], whole[1], whole[2]


def _shared(denominator: torch.Tensor, world: int) -> torch.Tensor:
    """The denominator, or with several processes the mean of theirs; never 0."""
    if world > 1:
        denominator = denominator.detach().clone()
        torch.distributed.all_reduce(denominator)
        denominator = denominator / world
    return denominator.clamp(min=1e-8)


def _world() -> int:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1
