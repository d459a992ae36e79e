"""What a bundle tells of the cases that it was trained on and given its threshold on, so that guards can ask it."""

from __future__ import annotations

from dataclasses import dataclass

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.core.types import Case
from insula.evaluate import near

_SITE = ("site", "institution", "centre", "center", "hospital")


@dataclass(frozen=True, eq=False)
class Known:
    """Stand-ins for what was trained on; an empty or missing part cannot be asked.

    patients, chosen_on, sites: salted hashes of the patients of train and val, of those that the threshold was chosen
    on, and of the training sites. files: SHA-256. pictures: codes. shuffled: the labels were shuffled before training.
    """

    salt: str
    patients: frozenset[str]
    patient_ids: bool
    files: frozenset[str]
    chosen_on: frozenset[str]
    sites: frozenset[str]
    pictures: near.Known | None
    shuffled: bool

    def hashed(self, name: str) -> str:
        """The stand-in of a patient or site."""
        return hash_patient(self.salt, name)

    def among(self, patient: str, hashes: frozenset[str]) -> bool:
        """Whether a patient is among hashed ones, however letter case and outer spaces of the id are written."""
        bare = patient.strip()
        return any(self.hashed(name) in hashes for name in {patient, bare, bare.lower(), bare.upper()})


def of_bundle(bundle: Bundle) -> Known:
    """What this bundle tells."""
    base = bundle.baseline
    pictures = near.Known(base.codes, base.code_medians) if len(base.codes) else None
    return Known(
        salt=base.salt,
        patients=frozenset(base.patients),
        patient_ids=base.patient_ids,
        files=frozenset(base.files),
        chosen_on=frozenset(bundle.decision.chosen_on),
        sites=frozenset(base.sites),
        pictures=pictures,
        shuffled=bool(bundle.provenance.get("shuffled_labels", False)),
    )


def site(case: Case) -> str:
    """Where a case comes from, as its attributes or its scans' headers say; "" where nothing does."""
    told = [case.attributes, *(scan.attributes for scan in case.scans.values())]
    return next((text for name in _SITE for facts in told if (text := facts.get(name, "").strip())), "")
