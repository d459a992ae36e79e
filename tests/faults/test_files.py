"""Damaged files of every kind, through the reader and over REST: refused in words, or read and flagged."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.made_damaged import Door, is_longer, plain_door, records_door, send
from tests.faults.tally import Tally, sizes
from tests.scans.judged import read_all
from tests.scans.mutations import mutants

from insula.scans.sandbox import Sandbox


@sizes("count", 90, 80_000)
def test_damaged_files_through_the_reader(count: int, tally: Tally, tmp_path: Path) -> None:
    with Sandbox(1, seconds=60.0) as pool, tally.log("reader.txt").open("w", encoding="utf-8") as log:
        found = read_all(pool, tmp_path, mutants(count, seed=12), 1, lambda line: log.write(line + "\n"))
        log.writelines(f"WRONG {line}\n" for line in found.wrong)
    outcomes: Counter[str] = Counter()
    for (_, outcome), number in found.counts.items():
        outcomes[outcome] += number
    died = [line for line in found.wrong if any(kind in line for kind in (": crash:", ": hang:", ": memory:"))]
    tally.tried(
        "damaged files read in the sandbox",
        sum(found.counts.values()),
        crashed=len(died),
        failed=len(found.wrong) - len(died),
        figures={"slowest, s": found.slowest, **{name: str(number) for name, number in sorted(outcomes.items())}},
    )


@sizes("count", 27, 3_000)
def test_damaged_files_over_rest(count: int, tally: Tally, tmp_path: Path) -> None:
    with plain_door(tmp_path) as door:
        _through(door, count, 13, tally, "damaged files sent to POST /predict")


@sizes("count", 18, 3_000)
def test_damaged_files_into_the_records(count: int, tally: Tally, tmp_path: Path) -> None:
    with records_door(tmp_path) as door:
        _through(door, count, 14, tally, "damaged files sent as studies to POST /api/v1/studies")


def _through(door: Door, count: int, seed: int, tally: Tally, what: str) -> None:
    """Send damaged files; a sound one in between has to get the answer that it always gets."""
    log = tally.log(f"{what.rpartition('/')[2]}.txt")
    with log.open("w", encoding="utf-8") as lines:
        found = send(door, mutants(count, seed), lambda line: lines.write(line + "\n"))
    tally.tried(
        what,
        count,
        lost=found.lost,
        leaked=found.left,
        crashed=found.crashed,
        failed=len(found.wrong),
        figures={f"answers {status}": str(number) for status, number in sorted(found.statuses.items())},
    )


class _Answer:
    def __init__(self, status: int, told: dict[str, Any]) -> None:
        self.status_code, self._told, self.text = status, told, ""
        self.headers = {"content-type": "application/problem+json"}

    def json(self) -> dict[str, Any]:
        return self._told


def _always(answer: _Answer, data: bytes) -> _Answer:
    return answer


def test_a_service_that_does_what_it_should_not_is_noticed() -> None:
    longer = [one for one in mutants(900, 1) if one.how == "appended" and one.kind != "tiff"][:3]
    said = {"code": "unreadable_scan", "detail": "It is damaged."}
    for answer, kept, wanted in (
        (_Answer(422, said), 0, ""),
        (_Answer(500, said), 0, "crashed"),
        (_Answer(422, {"detail": "Traceback"}), 0, "wrong"),
        (_Answer(422, {**said, "detail": "Traceback"}), 0, "wrong"),
        (_Answer(200, {"warnings": []}), 0, "wrong"),
        (_Answer(200, {"warnings": ["the file holds more bytes than its header promises"]}), 0, ""),
        (_Answer(422, said), 1, "left"),
    ):
        numbers = iter(range(100)) if kept else iter([0] * 100)
        door = Door(partial(_always, answer), b"", numbers.__next__, is_longer, lambda: 200)
        found = send(door, longer, str)
        assert bool(found.crashed) == (wanted == "crashed")
        assert bool(found.wrong) == (wanted == "wrong")
        assert bool(found.left) == (wanted == "left")
        assert found.lost == (answer.status_code != 200)
