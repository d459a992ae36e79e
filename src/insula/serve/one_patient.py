"""Whether scans that come together under one patient's key are of one patient, as far as their headers tell.

A key is typed by hand, and a slip puts one person's scan under another one's name; or several people have one number,
as 'UNKNOWN'. Headers may name a patient otherwise than the key does, where keys are pseudonyms; but they should name
the same one in all that lies under one key. What is kept of a header's id, family name and birth date are keyed
digests, so that the facts of a study name nobody.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, select

from insula.serve.faults import RequestError
from insula.serve.intake import Intake
from insula.serve.store import schema
from insula.serve.store.studies import PERSONAL

_MOST: Final = 200  # of a patient's studies, the newest, that are looked at
_OF_A_HEADER: Final = (b"patient of a header", b"family name of a header", b"birth date of a header")


@dataclass(frozen=True)
class Whom:
    """Digests of what headers name: patients' ids, family names in all their spellings, birth dates."""

    persons: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    born: frozenset[str] = frozenset()


def facts_with(found: Intake, key: bytes, families: Collection[str] = (), born: Collection[str] = ()) -> dict[str, Any]:
    """The facts of scans with digests of whom their headers name, as far as they do.

    families, born: family names (`pacs.named.families`) and birth dates, where they were looked at.
    """
    said = zip(PERSONAL, _OF_A_HEADER, ([found.patient] if found.patient else [], families, born), strict=True)
    kept = {name: sorted(_digest(key, what, one) for one in texts) for name, what, texts in said if texts}
    return {role: {**told, **kept} for role, told in found.facts.items()}


def named(facts: Mapping[str, Any]) -> Whom:
    """Digests of whom headers name, out of a study's facts by role."""
    return Whom(*(frozenset(one for told in facts.values() for one in told.get(name, ())) for name in PERSONAL))


def _digest(key: bytes, what: bytes, text: str) -> str:
    return hmac.digest(key, what + b"\0" + text.encode("utf-8", "replace"), "sha256").hex()[:16]


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


def agree(before: Iterable[Whom], new: Whom, same: bool) -> None:
    """Raise RequestError 409 where headers name a patient whom none of those before name; see `check`.

    Of a family name one spelling has to be known. What one of the two does not say is not compared.
    """
    seen = list(before)
    persons, families, born = (frozenset[str]().union(*(getattr(one, name) for one in seen)) for name in PERSONAL)
    other = {
        "number": bool(persons) and bool(new.persons - persons),
        "family name": bool(families) and bool(new.families) and families.isdisjoint(new.families),
        "birth date": bool(born) and bool(new.born - born),
    }
    if any(other.values()) and not same:
        raise RequestError(
            409,
            "another_patient",
            f"The headers of these scans name another patient (by {' and '.join(k for k, v in other.items() if v)}) "
            "than those that lie under this patient's key; check the key, or say that it is one person "
            "(same_patient=true).",
        )
