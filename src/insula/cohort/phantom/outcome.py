"""Stage and survival of made tumour patients, from a model that is written down here and nowhere hidden.

The stage follows the class and the size of the tumour, so that it can be read off the picture. The time to death is
exponential with Cox's proportional hazard (Cox, J. R. Stat. Soc. B 34, 1972)

    h = H0 · exp(BETA_STAGE · (stage - 2) + BETA_AGE · (age - 60) / 10)

per day, and is cut off by a follow-up time drawn evenly from FOLLOW_UP days, independent of everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from insula.cohort.phantom.lesions import Lesion

H0 = 1.0 / 900.0
BETA_STAGE = 0.9
BETA_AGE = 0.35
FOLLOW_UP = (200.0, 2000.0)
STAGES = ("I", "II", "III", "IV")
_LARGE = {"benign": 16.5, "malignant": 17.5}  # mm of radius; the middle of what is drawn


@dataclass(frozen=True)
class Outcome:
    """A patient's stage, days under observation, whether death was seen, and the true log hazard relative to H0."""

    stage: str
    days: int
    died: bool
    log_hazard: float


def outcome(label: str, lesion: Lesion, age: int, seed: int, number: int) -> Outcome:
    """The outcome of one patient; label is the true class, benign or malignant."""
    g = np.random.default_rng((seed, number, 59))
    stage = (0 if label == "benign" else 2) + int(lesion.size_mm >= _LARGE[label])
    log_hazard = BETA_STAGE * (stage + 1 - 2) + BETA_AGE * (age - 60) / 10
    time = float(g.exponential(1.0 / (H0 * np.exp(log_hazard))))
    followed = float(g.uniform(*FOLLOW_UP))
    return Outcome(STAGES[stage], max(1, round(min(time, followed))), time <= followed, log_hazard)
