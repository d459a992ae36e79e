"""What was tried against Insula, how often, and what failed: one line of JSON a kind of try, for the table of all."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

FILE = "tries.jsonl"
PLACE = "INSULA_TRIES"  # the folder for tries and raw logs; tests keep theirs to themselves where it is not set


@dataclass(frozen=True)
class Tries:
    """Tries of one kind. lost, doubled, leaked, crashed, failed: tries that ended so; figures: what was measured.

    lost: something acknowledged is not there; doubled: done twice; leaked: shown to whom it is not for, or left behind
    (processes, files, descriptors); crashed: a service or worker ended or hung; failed: any other wrong end, such as a
    wrong answer or a bad file taken for a good one.
    """

    group: str
    what: str
    tried: int
    lost: int = 0
    doubled: int = 0
    leaked: int = 0
    crashed: int = 0
    failed: int = 0
    figures: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """Tries that ended in any wrong way; at most all of them."""
        return min(self.tried, self.lost + self.doubled + self.leaked + self.crashed + self.failed)

    @property
    def wrong(self) -> bool:
        """Whether the row fails: a try ended wrongly, or nothing was tried."""
        return self.failures > 0 or self.tried <= 0


@dataclass(frozen=True)
class Rates:
    """Wrong inputs of one kind: how many were refused, how many answered with a warning, how many taken as sound."""

    group: str
    what: str
    tried: int
    refused: int
    flagged: int
    taken: int
    goal: str = ""
    figures: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """How a test ended: passed, failed or skipped. reason: why it was skipped."""

    test: str
    end: str
    reason: str = ""


@dataclass(frozen=True)
class Origin:
    """When a row was written, and the commit it was measured at, with + for changes not committed; "" if unknown."""

    date: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Written:
    """All that was written down in a folder; of a kind of try, and of a test, the newest line counts.

    origins: how many of the rows that count are from where; superseded: earlier rows of theirs that held failures.
    """

    tries: tuple[Tries, ...]
    rates: tuple[Rates, ...]
    ends: tuple[End, ...]
    origins: Mapping[Origin, int]
    superseded: int


@dataclass(frozen=True)
class Tally:
    """Where tries are written, and where raw logs are kept.

    group: of faults or attacks, a row of the table of faults; the name of the test's file says it.
    """

    folder: Path
    group: str

    def tried(self, what: str, tried: int, **found: Any) -> None:
        """Write tries of one kind down, and fail the test where one of them ended wrongly. found: as in `Tries`."""
        made = Tries(self.group, what, tried, **found)
        write(self.folder, "tries", made)
        assert made.tried > 0, f"{what}: nothing was tried"
        assert made.failures == 0, f"{what}: {made}"

    def rates(self, what: str, tried: int, **found: Any) -> Rates:
        """Write down what became of wrong inputs; the test holds them against its goal. found: as in `Rates`."""
        made = Rates(self.group, what, tried, **found)
        write(self.folder, "rates", made)
        assert made.refused + made.flagged + made.taken == made.tried, made
        return made

    def log(self, name: str) -> Path:
        """The path of a raw log, kept with the tries."""
        place = self.folder / "logs" / self.group
        place.mkdir(parents=True, exist_ok=True)
        return place / name


def write(folder: Path, kind: str, made: Tries | Rates | End) -> None:
    """Write one line to the end of the folder's file, with when and at which commit."""
    folder.mkdir(parents=True, exist_ok=True)
    origin = Origin(datetime.now(UTC).date().isoformat(), commit())
    line = json.dumps({"kind": kind, **asdict(made), **asdict(origin)}, ensure_ascii=False) + "\n"
    with (folder / FILE).open("ab") as stream:
        stream.write(line.encode())  # one write to the end: two test processes share the file


@cache
def commit() -> str:
    """The short commit of this checkout, with + behind it where tracked files differ; "" where git does not tell."""
    command = ["git", "--no-optional-locks", "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        told = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip()


def sizes(name: str, short: Any, full: Any, seconds: int = 3600) -> pytest.MarkDecorator:
    """Parametrise a test by a number of tries: the short form runs with every test, the full one is marked `faults`."""
    marks = [pytest.mark.faults, pytest.mark.timeout(seconds)]
    return pytest.mark.parametrize(name, [pytest.param(short, id="short"), pytest.param(full, id="full", marks=marks)])


def place(fallback: Path) -> Path:
    """The folder for tries and raw logs."""
    told = os.environ.get(PLACE)
    return Path(told).resolve() if told else fallback / "tries"


def read(folder: Path) -> Written:
    """What was written down in a folder. Lines from before they had a date or a commit are read too."""
    tries: dict[tuple[str, str], Tries] = {}
    rates: dict[tuple[str, str], Rates] = {}
    ends: dict[str, End] = {}
    origins: dict[tuple[str, ...], Origin] = {}
    superseded = 0
    for line in (folder / FILE).read_text(encoding="utf-8").splitlines():
        content = json.loads(line)
        kind = content["kind"]
        if kind == "end":
            ends[content["test"]] = End(**{f.name: content[f.name] for f in fields(End)})
            continue
        key = (content["group"], content["what"])
        if kind == "tries":
            superseded += key in tries and tries[key].wrong
            tries[key] = Tries(**{f.name: content[f.name] for f in fields(Tries)})
        else:
            rates[key] = Rates(**{f.name: content[f.name] for f in fields(Rates)})
        origins[kind, *key] = Origin(content.get("date", ""), content.get("commit", ""))
    return Written(
        tuple(tries.values()), tuple(rates.values()), tuple(ends.values()), Counter(origins.values()), superseded
    )
