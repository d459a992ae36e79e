"""A bundle that tells more of its training than a tiny one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from insula.bundle.patients import hash_patient
from insula.bundle.types import Baseline, Bundle, DecisionFacts
from insula.evaluate import near


@dataclass(frozen=True, eq=False)
class FullBaseline(Baseline):
    """codes (M, 4), code_medians (256,): of training pictures. sites: salted hashes of the training sites."""

    codes: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((0, 4), np.uint64))
    code_medians: NDArray[np.float32] = field(default_factory=lambda: np.zeros(256, np.float32))
    sites: tuple[str, ...] = ()


@dataclass(frozen=True)
class FullDecision(DecisionFacts):
    """chosen_on: salted hashes of the patients that the thresholds were chosen on."""

    chosen_on: tuple[str, ...] = ()


def more(
    bundle: Bundle,
    pictures: near.Known | None = None,
    sites: Sequence[str] = (),
    chosen_on: Sequence[str] = (),
    patients: Sequence[str] | None = None,
) -> Bundle:
    """The bundle with these training pictures, sites and patients."""
    salt = bundle.baseline.salt
    base = {f.name: getattr(bundle.baseline, f.name) for f in fields(bundle.baseline)}
    decision = {f.name: getattr(bundle.decision, f.name) for f in fields(bundle.decision)}
    if pictures:
        base |= {"codes": pictures.codes, "code_medians": pictures.medians}
    if sites:
        base["sites"] = tuple(hash_patient(salt, name) for name in sites)
    if patients is not None:
        base["patients"] = tuple(hash_patient(salt, name) for name in patients)
    if chosen_on:
        decision["chosen_on"] = tuple(hash_patient(salt, name) for name in chosen_on)
    return replace(bundle, baseline=FullBaseline(**base), decision=FullDecision(**decision))
