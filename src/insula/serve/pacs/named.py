"""Whom the headers of received objects name."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.dataset import Dataset

from insula.core.errors import InsulaError
from insula.scans import attributes, header
from insula.serve.faults import RequestError
from insula.serve.model import LIMITS
from insula.serve.store.patients import LONGEST_NAME, key_of

_LETTERS: Final = str.maketrans({"ı": "i", "ø": "o", "ł": "l", "đ": "d", "æ": "a", "œ": "o", "þ": "th"})
_UMLAUT: Final = re.compile("(?<=[aou])e")  # Mueller is Müller where a machine knows no ü


@dataclass(frozen=True)
class Named:
    """A patient's ID and its issuer as they are in the headers, and the name as people write it; "" for what they lack.

    families: the family name in each of its scripts, as `families` makes them comparable. born: days, as 20260131.
    """

    id: str
    name: str
    issuer: str = ""
    families: frozenset[str] = frozenset()
    born: frozenset[str] = frozenset()

    @property
    def key(self) -> str:
        """What a project knows the patient by: `patients.key_of`; "" without an ID."""
        return key_of(self.id, self.issuer)


def named(paths: Sequence[Path]) -> Named:
    """The one patient of some DICOM files.

    Raises RequestError 422 where they name several, whose ids are not repeated.
    """
    found: dict[str, str] = {}
    issuers: set[str] = set()
    spelled: set[str] = set()
    born: set[str] = set()
    for path in paths:
        with contextlib.suppress(InsulaError):  # what cannot be read is told when the pictures are
            dataset = header.load(path, LIMITS, pixels=False)
            name = header.facts(dataset, path).attributes.get("patient_id", "")
            found[name] = found.get(name, "") or written(_text(dataset, "PatientName"))
            issuers |= {attributes.text(dataset, "IssuerOfPatientID")} - {""}
            spelled |= families(_text(dataset, "PatientName"))
            born |= {day for day in [_text(dataset, "PatientBirthDate").strip()] if len(day) == 8 and day.isdecimal()}
    if (count := max(len([one for one in found if one]), len(issuers))) > 1:
        raise RequestError(
            422,
            "several_patients",
            f"The headers of one study name {count} patients; correct them where they come from.",
        )
    key = next((one for one in found if one), "")
    return Named(key, found.get(key, ""), next(iter(issuers), ""), frozenset(spelled), frozenset(born))


def families(name: str) -> frozenset[str]:
    """The family name of a PatientName in each of its scripts: letters and digits alone, without case and accents."""
    found = set()
    for group in name.split("="):
        plain = unicodedata.normalize("NFKD", group.partition("^")[0].casefold().translate(_LETTERS))
        found.add(_UMLAUT.sub("", "".join(c for c in plain if c.isalnum())))
    return frozenset(found - {""})


def _text(dataset: Dataset, keyword: str) -> str:
    try:
        return str(attributes.value(dataset, keyword) or "")
    except Exception:  # noqa: BLE001 - pydicom converts it now, and raises anything; the ID is what counts
        return ""


def written(name: str) -> str:
    """A person's name as people write it: `Doe, Jane` for `Doe^Jane`; in its own script where it has no other."""
    groups = [group for group in name.split("=") if group.strip("^ ")]
    family, *rest = [part.strip() for part in groups[0].split("^")[:3]] if groups else [""]
    given = " ".join(part for part in rest if part)
    plain = f"{family}, {given}" if family and given else family or given
    return "".join(c for c in plain if c.isprintable())[:LONGEST_NAME]
