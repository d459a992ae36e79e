"""Whether scans that come together under one patient's key are of one patient, as far as their headers tell.

A key is typed by hand, and a slip puts one person's scan under another one's name. Headers may name a patient otherwise
than the key does, where keys are pseudonyms; but they should name the same one in all that lies under one key. What is
kept of a header's id is a keyed digest, so that the facts of a study name nobody.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from insula.serve.faults import RequestError
from insula.serve.intake import Intake
from insula.serve.store import schema

_MOST: Final = 200  # of a patient's studies, the newest, that are looked at
_PERSONS: Final = "persons"


def facts_with(found: Intake, key: bytes) -> dict[str, Any]:
    """The facts of an upload with the digest of the patient whom its headers name, where they name one."""
    if not found.patient:
        return dict(found.facts)
    digest = hmac.digest(key, b"patient of a header\0" + found.patient.encode("utf-8", "replace"), "sha256").hex()[:16]
    return {role: {**told, _PERSONS: [digest]} for role, told in found.facts.items()}


def named(facts: Mapping[str, Any]) -> frozenset[str]:
    """Digests of the patients whom headers name, out of a study's facts by role."""
    return frozenset(one for told in facts.values() for one in told.get(_PERSONS, ()))


def check(connection: Connection, patient_id: str, facts: Mapping[str, Any], same: bool) -> None:
    """Hold new scans against all that lies under a patient's key.

    same: whether the sender says that it is one person. Raises RequestError 409 where headers name another patient than
    those before; ids are not repeated.
    """
    studies = schema.studies.c
    newest = select(studies.facts).where(studies.patient_id == patient_id).order_by(studies.seq.desc()).limit(_MOST)
    agree([named(row) for row in connection.scalars(newest)], named(facts), same)


def check_studies(connection: Connection, ids: Sequence[str], same: bool) -> None:
    """As `check`, of studies that are to be one case."""
    studies = schema.studies.c
    found = [named(row) for row in connection.scalars(select(studies.facts).where(studies.id.in_(ids)))]
    for place, one in enumerate(found):
        agree(found[:place], one, same)


def agree(before: Iterable[frozenset[str]], new: frozenset[str], same: bool) -> None:
    """Raise RequestError 409 where headers name a patient whom none of those before name; see `check`."""
    known = frozenset[str]().union(*before)
    if known and new - known and not same:
        raise RequestError(
            409,
            "another_patient",
            "The headers of these scans name another patient than those that lie under this patient's key; check the "
            "key, or say that it is one person (same_patient=true).",
        )
