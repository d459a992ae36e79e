"""What a model says of one case, and what its policy makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from insula.core.types import Action, Decision, Prediction
from insula.infer.decide import withheld
from insula.infer.writers import as_dict, named, to_text


@dataclass(frozen=True, eq=False)
class Result:
    """A prediction with its decision; `str` of it is what `insula predict` prints.

    prediction: probabilities (K,) with everything drawn beside them. decision: what the policy makes of it, which may
    refer the case to a person, or reject the scan.
    """

    prediction: Prediction
    decision: Decision

    @property
    def case(self) -> str:
        """The name of the case."""
        return self.prediction.case

    @property
    def label(self) -> str:
        """The decided class; "" for a scan that the policy rejects."""
        return self.decision.label

    @property
    def action(self) -> Action:
        """`accept`, `refer` (a person has to look) or `reject` (no such scan)."""
        return self.decision.action

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is referred or rejected."""
        return self.decision.reasons

    @cached_property
    def probabilities(self) -> dict[str, float | None]:
        """Class → probability, rounded as all figures that leave the program; empty for a rejected scan."""
        shown = withheld(self.prediction, self.decision)
        return named(shown.classes, shown.probabilities)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the same as one result of `insula predict --json`; without heat maps and the embedding."""
        return as_dict(self.prediction, self.decision)

    def __str__(self) -> str:
        return to_text(self.prediction, self.decision)
