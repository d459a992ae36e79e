"""Entries as JSON lines, exactly as stored and fit for checking, or as CSV for a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, fields
from typing import Final

from insula.core.errors import UsageError
from insula.serve import sheet
from insula.serve.trail.entries import Entry

_NAMES: Final = tuple(field.name for field in fields(Entry))
_LONGEST: Final = 100_000  # characters of a line that is read


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """One object a line, plain ASCII; `detail` is the JSON text that stands under the mac, not an object."""
    for entry in entries:
        yield json.dumps(asdict(entry)) + "\n"


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A line of names, then one line an entry, its cells made harmless (`serve.sheet`).

    So this form is for reading, and the JSON lines are for checking.
    """
    yield sheet.line(_NAMES)
    for entry in entries:
        yield sheet.line(str(value) for value in astuple(entry))


def read_lines(lines: Iterable[str]) -> Iterator[Entry]:
    """Entries of exported JSON lines, in their order. Raises UsageError for a line that is no entry."""
    for number, line in enumerate(lines, start=1):
        try:
            if len(line) > _LONGEST:
                raise ValueError
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(
                f"Line {number} is no entry of the trail; give a file of: insula audit-trail export --format jsonl."
            ) from error
        values = astuple(entry)
        if type(entry.seq) is not int or not all(isinstance(value, str) for value in values[1:]):
            raise UsageError(f"Line {number} has a field of another kind than an entry's; export the trail again.")
        yield entry
