"""A bundle that tells more of its training than a tiny one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.evaluate import near


def more(
    bundle: Bundle,
    pictures: near.Known | None = None,
    sites: Sequence[str] = (),
    chosen_on: Sequence[str] = (),
    patients: Sequence[str] | None = None,
) -> Bundle:
    """The bundle with these training pictures, sites and patients."""
    base, decision = bundle.baseline, bundle.decision
    if pictures:
        base = replace(base, codes=pictures.codes, code_medians=pictures.medians)
    if sites:
        base = replace(base, sites=tuple(hash_patient(base.salt, name) for name in sites))
    if patients is not None:
        base = replace(base, patients=tuple(hash_patient(base.salt, name) for name in patients))
    if chosen_on:
        decision = replace(decision, chosen_on=tuple(hash_patient(base.salt, name) for name in chosen_on))
    return replace(bundle, baseline=base, decision=decision)
