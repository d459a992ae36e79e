"""Both checklists, answered from a record."""

from __future__ import annotations

from typing import Any

from insula.evaluate.outcome import LIMITS
from insula.report.checklist.claim import CLAIM
from insula.report.checklist.item import Checklist
from insula.report.checklist.tripod import TRIPOD
from insula.report.record import Record

CHECKLISTS = (CLAIM, TRIPOD)
RECORD, PART, AUTHOR = "from the record", "in part", "for the author"


def answered(record: Record) -> list[dict[str, Any]]:
    """Each checklist with its items: `status` is from the record, in part (`left` names the rest) or for the author."""
    return [_one(record, checklist) for checklist in CHECKLISTS]


def to_dict(record: Record) -> dict[str, Any]:
    """The content of `checklists.json`."""
    return {"limits": LIMITS, "about": record["facts"]["name"], "checklists": answered(record)}


def _one(record: Record, checklist: Checklist) -> dict[str, Any]:
    items = []
    for item in checklist.items:
        found = item.answer(record)
        status = AUTHOR if found is None else PART if found.left else RECORD
        items.append(
            {
                "number": item.number,
                "section": item.section,
                "title": item.title,
                "status": status,
                "answer": found.said if found else "",
                "left": found.left if found else "",
            }
        )
    counts = {status: sum(i["status"] == status for i in items) for status in (RECORD, PART, AUTHOR)}
    return {"name": checklist.name, "source": checklist.source, "counts": counts, "items": items}
