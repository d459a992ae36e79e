"""The heads: one linear layer over the embedding for all targets, and each kind's columns made of its scores."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from insula.core.recipe import Target

_WIDTH = {"binary": 1, "ordinal": 1, "survival": 1, "regression": 1}


class Heads(nn.Module):
    """Scores W·h + b of an embedding h (N, H), and from them the columns of all targets side by side (N, K).

    multiclass and multilabel: the scores. binary: [0, s], so that a softmax gives 1 − σ(s) and σ(s). ordinal: the log
    probability of each class under the cumulative link model P(y > k) = σ(s − θ_k) with rising thresholds θ (McCullagh,
    J. R. Stat. Soc. B 42, 1980). survival: s, the log relative hazard (Cox). regression: mean + std·s in the label's
    unit; both are set from the training labels.
    """

    def __init__(self, targets: Mapping[str, Target], features: int) -> None:
        super().__init__()
        self.targets = dict(targets)
        self.score = nn.Linear(features, sum(width(t) for t in targets.values()))
        for name, target in self.targets.items():
            if target.kind == "ordinal":
                steps = len(target.classes) - 1
                self.register_parameter(f"first_{name}", nn.Parameter(torch.tensor([-(steps - 1) / 2.0])))
                self.register_parameter(f"steps_{name}", nn.Parameter(torch.full((steps - 1,), 0.5413)))  # softplus: 1
            elif target.kind == "regression":
                self.register_buffer(f"mean_{name}", torch.zeros(1))
                self.register_buffer(f"std_{name}", torch.ones(1))

    @property
    def in_features(self) -> int:
        """H."""
        return self.score.in_features

    def set_scale(self, name: str, mean: float, std: float) -> None:
        """Mean and standard deviation of a regression's training labels."""
        self.get_buffer(f"mean_{name}").fill_(mean)
        self.get_buffer(f"std_{name}").fill_(std)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Columns (N, K) of embeddings (N, H)."""
        return torch.cat([self._columns(name, s) for name, s in self._scores(h)], 1)

    def slope(self, h: torch.Tensor) -> torch.Tensor:
        """The derivative of each column by h, (N, K, H), in forward operations."""
        rows = torch.split(self.score.weight, [width(t) for t in self.targets.values()])
        found = []
        for (name, s), w in zip(self._scores(h), rows, strict=True):
            found.append(self._derivative(name, s).unsqueeze(-1) * w.unsqueeze(0))
        return torch.cat(found, 1)

    def _scores(self, h: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
        scores: torch.Tensor = self.score(h)
        scores = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
        parts = torch.split(scores, [width(t) for t in self.targets.values()], dim=1)
        return list(zip(self.targets, parts, strict=True))

    def _columns(self, name: str, s: torch.Tensor) -> torch.Tensor:
        kind = self.targets[name].kind
        if kind == "binary":
            return torch.cat([torch.zeros_like(s), s], 1)
        if kind == "regression":
            return self.get_buffer(f"mean_{name}") + self.get_buffer(f"std_{name}") * s
        if kind != "ordinal":
            return s
        a = s - self._thresholds(name)  # log-odds of being above each threshold, falling
        # P(k) = σ(a_{k−1}) − σ(a_k) = σ(a_{k−1})·σ(−a_k)·(1 − exp(a_k − a_{k−1})): no difference of near-equal numbers
        gain = torch.log(-torch.expm1(-self._steps(name)))
        # log σ(x) as −softplus(−x): the exporter writes logsigmoid as the logarithm of a sigmoid, which is 0 too soon
        middle = gain - F.softplus(-a[:, :-1]) - F.softplus(a[:, 1:])
        return torch.cat([-F.softplus(a[:, :1]), middle, -F.softplus(-a[:, -1:])], 1)

    def _derivative(self, name: str, s: torch.Tensor) -> torch.Tensor:
        """The derivative of each column by its score, (N, columns); classes and labels have a score each."""
        kind = self.targets[name].kind
        if kind == "binary":
            return torch.cat([torch.zeros_like(s), torch.ones_like(s)], 1)
        if kind == "regression":
            return torch.ones_like(s) * self.get_buffer(f"std_{name}")
        if kind != "ordinal":
            return torch.ones_like(s)
        above = torch.sigmoid(s - self._thresholds(name))
        one, nothing = torch.ones_like(s), torch.zeros_like(s)
        return 1.0 - torch.cat([one, above], 1) - torch.cat([above, nothing], 1)

    def _thresholds(self, name: str) -> torch.Tensor:
        """θ (steps,), rising: the first one free, the others by a positive step each."""
        first, steps = self.get_parameter(f"first_{name}"), self._steps(name)
        # sums by a triangle of ones: a running sum is not deterministic on every GPU
        return torch.cat([first, first + torch.ones(len(steps), len(steps)).tril().to(steps) @ steps])

    def _steps(self, name: str) -> torch.Tensor:
        """Between neighbouring thresholds (steps − 1,), above 0."""
        return F.softplus(self.get_parameter(f"steps_{name}")) + 1e-3


def width(target: Target) -> int:
    """Scores that a target takes of the linear layer."""
    return _WIDTH.get(target.kind, len(target.classes))
