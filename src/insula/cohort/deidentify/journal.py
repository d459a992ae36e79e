"""What has been done so far, one line a file, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from insula.core.errors import UsageError

NAME = ".deidentify.jsonl"


@dataclass(frozen=True)
class Row:
    """What became of one file. source is a keyed hash of its path, size and time; number counts the source's files.

    attributes: what was done → keyword → count. boxes: (x, y, width, height) of what was blanked; on_head: pixels
    of the head that this covers, in all frames. file: the copy's
    path below the output folder, or "".
    """

    number: int
    source: str
    file: str
    kind: str
    status: str
    reason: str
    pixels: str
    boxes: list[list[int]] = field(default_factory=list)
    attributes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    on_head: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, for the report: without the hash of its source."""
        return {name: value for name, value in asdict(self).items() if name != "source"}


def start(folder: Path, terms: Mapping[str, Any]) -> dict[str, Row]:
    """Open or go on with the journal of an output folder; the rows by their sources.

    terms: what has to be the same for a run to go on (key, options). Raises UsageError for a folder that holds
    something else, or a run on other terms.
    """
    path = folder / NAME
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"'{folder.name}' is not empty; give a new folder with --out.")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dict(terms)) + "\n", encoding="utf-8")
        return {}
    whole = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    try:
        before, *lines = [json.loads(line) for line in whole]
        rows = {row["source"]: Row(**row) for row in lines}
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(f"The journal in '{folder.name}' is damaged; give a new folder with --out.") from error
    if before != dict(terms):
        raise UsageError(
            f"'{folder.name}' holds a run that was stopped and had another key or other options; give the same "
            "ones, or a new folder with --out."
        )
    path.write_text("".join(whole), encoding="utf-8")
    return rows


def add(folder: Path, row: Row) -> None:
    """Note one file that is done."""
    with (folder / NAME).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(asdict(row)) + "\n")


def finish(folder: Path) -> None:
    """Take the journal away: the run is whole."""
    (folder / NAME).unlink(missing_ok=True)
