"""What was done to the attributes of one file: keywords and counts, never values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Keyword → how often it was removed, emptied, replaced, cleaned, or kept because an option says so.

    kept counts only what an option kept; attributes that the profile does not name are not counted.
    """

    removed: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    cleaned: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, dict[str, int]]:
        """The counts as plain data, in the order of the keywords."""
        return {name: dict(sorted(getattr(self, name).items())) for name in KINDS}


KINDS = ("removed", "emptied", "replaced", "cleaned", "kept")
