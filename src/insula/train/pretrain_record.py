"""What a pretrained encoder says of itself beside its weights, patients included, and who asks it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from insula.bundle.patients import hash_patient, new_salt
from insula.core.errors import TrainingError
from insula.core.provenance import record, sha256_file, write_json
from insula.core.types import Cohort
from insula.model.weights import place

WEIGHTS = "encoder.safetensors"
RECORD = "pretrain.json"


def write_record(folder: Path, patients: Iterable[str], **facts: Any) -> str:
    """Write `pretrain.json` beside the weights and give the weights' SHA-256.

    Patients stand in it as stand-ins under a fresh salt, so that `refuse_seen` can find them again.
    """
    salt, digest = new_salt(), sha256_file(folder / WEIGHTS)
    known = sorted(hash_patient(salt, patient) for patient in set(patients))
    write_json(folder / RECORD, record(weights_sha256=digest, **facts, salt=salt, patients=known))
    return digest


def refuse_seen(pretrained: bool | str, cohort: Cohort) -> None:
    """TrainingError when an encoder was pretrained on patients whom this cohort keeps for validation or test.

    Weights without a `pretrain.json` beside them, or with one of other weights, say nothing about patients; a split by
    picture ignores them.
    """
    if not isinstance(pretrained, str) or cohort.split_level == "picture":
        return
    file, _ = place(pretrained)
    beside = file.with_name(RECORD)
    if not beside.is_file():
        return
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
        salt, known, digest = str(facts["salt"]), {str(p) for p in facts["patients"]}, str(facts["weights_sha256"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TrainingError(
            f"'{beside.name}' beside '{file.name}' cannot be read, so nobody knows which patients the encoder has "
            "seen; pretrain it again."
        ) from error
    if digest != sha256_file(file):
        return
    held = {c.patient for c in cohort.cases if c.split in ("val", "test")}
    seen = sum(hash_patient(salt, patient) in known for patient in held)
    if seen:
        raise TrainingError(
            f"The encoder '{file.name}' was pretrained on {seen} of the {len(held)} patients of the val and test "
            "splits, so no figure on them would be honest; pretrain it on this cohort's split (in cross-validation: "
            "on each fold's own)."
        )
