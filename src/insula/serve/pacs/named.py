"""Whom the headers of received objects name."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from insula.core.errors import InsulaError
from insula.scans import attributes, header
from insula.serve.faults import RequestError
from insula.serve.model import LIMITS
from insula.serve.store.patients import LONGEST_NAME


@dataclass(frozen=True)
class Named:
    """A patient's ID as it is in the headers, and the name as people write it; "" where the headers say none."""

    id: str
    name: str


def named(paths: Sequence[Path]) -> Named:
    """The one patient of some DICOM files.

    Raises RequestError 422 where they name several, whose ids are not repeated.
    """
    found: dict[str, str] = {}
    for path in paths:
        with contextlib.suppress(InsulaError):  # what cannot be read is told when the pictures are
            dataset = header.load(path, LIMITS, pixels=False)
            name = header.facts(dataset, path).attributes.get("patient_id", "")
            found[name] = found.get(name, "") or written(_name(dataset))
    if (count := len([one for one in found if one])) > 1:
        raise RequestError(
            422,
            "several_patients",
            f"The headers of one study name {count} patients; correct them where they come from.",
        )
    key = next((one for one in found if one), "")
    return Named(key, found.get(key, ""))


def _name(dataset: Dataset) -> str:
    try:
        return str(attributes.value(dataset, "PatientName") or "")
    except Exception:  # noqa: BLE001 - pydicom converts it now, and raises anything; the ID is what counts
        return ""


def written(name: str) -> str:
    """A person's name as people write it: `Doe, Jane` for `Doe^Jane`; in its own script where it has no other."""
    groups = [group for group in name.split("=") if group.strip("^ ")]
    family, *rest = [part.strip() for part in groups[0].split("^")[:3]] if groups else [""]
    given = " ".join(part for part in rest if part)
    plain = f"{family}, {given}" if family and given else family or given
    return "".join(c for c in plain if c.isprintable())[:LONGEST_NAME]
