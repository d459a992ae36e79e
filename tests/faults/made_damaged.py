"""Damaged files sent to the service over HTTP, and what is looked at of each answer."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.scans.judged import LONGER
from tests.scans.mutations import Mutant
from tests.serve.api.made import service
from tests.serve.client import client, dicom
from tests.tiny_bundle import make

from insula.serve import upload

EVERY = 50  # damaged files between two sound ones


@dataclass(frozen=True)
class Door:
    """put: sends one file. sound: a file that is always taken. kept: counts files on the disk. health: a status.

    warned: whether an answer that took a file says that it is longer than it should be.
    """

    put: Callable[[bytes], Any]
    sound: bytes
    kept: Callable[[], int]
    warned: Callable[[Any], bool]
    health: Callable[[], int]


@dataclass
class Found:
    """What became of files. lost: sound ones that were not taken; left: refused ones of which something stayed."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: int = 0
    left: int = 0
    crashed: int = 0


def send(door: Door, many: Iterable[Mutant], told: Callable[[str], object]) -> Found:
    """Send damaged files; sound ones in between. told: gets a line for each."""
    found, kept = Found(), door.kept()
    for number, mutant in enumerate(many):
        answer = door.put(mutant.data)
        found.statuses[answer.status_code] += 1
        line = f"{mutant.number} {mutant.kind} of {mutant.sound}, {mutant.how}: {answer.status_code}"
        told(line)
        if answer.status_code >= 500:
            found.crashed += 1
            told(f"CRASHED {line} {answer.text[:500]}")
        elif answer.status_code >= 400:
            found.left += door.kept() != kept
            if not _is_said(answer):
                found.wrong.append(line)
        elif mutant.how in LONGER and mutant.kind != "tiff" and not door.warned(answer.json()):
            found.wrong.append(f"{line} with bytes behind its end, and without a word")
        if number % EVERY == EVERY - 1:
            _sound(door, found)
        if answer.status_code < 400 or number % EVERY == EVERY - 1:
            kept = door.kept()
    _sound(door, found)
    for line in found.wrong:
        told(f"WRONG {line}")
    return found


def _sound(door: Door, found: Found) -> None:
    found.lost += door.put(door.sound).status_code not in (200, 201)
    found.crashed += door.health() != 200


@contextmanager
def plain_door(folder: Path) -> Iterator[Door]:
    """`POST /predict` of a service without records."""
    with own_places(folder) as left, client(make(folder / "bundle"), per_minute=0.0) as caller:

        def put(data: bytes) -> Any:
            return caller.post("/predict", files={"file": ("scan", data)})

        yield Door(put, dicom(), left, is_longer, lambda: caller.get("/health").status_code)


@contextmanager
def records_door(folder: Path) -> Iterator[Door]:
    """`POST /api/v1/studies` of a service with records."""
    address = f"sqlite:///{folder}/insula.db"
    with own_places(folder) as left, service(make(folder / "bundle", unit="series"), address, folder) as made:
        caller = made.client("reader")
        numbers = iter(range(1 << 30))

        def put(data: bytes) -> Any:
            form = {"project": made.inside, "patient": f"P-{next(numbers)}"}
            return caller.post("/api/v1/studies", data=form, files={"files": ("scan", data)})

        def kept() -> int:
            return left() + sum(1 for path in Path(made.settings.files).rglob("*") if path.is_file())

        yield Door(put, dicom(), kept, is_longer, lambda: caller.get("/health").status_code)


@contextmanager
def own_places(folder: Path) -> Iterator[Callable[[], int]]:
    """Temporary places of this test alone; gives what counts the files with content in them."""
    places = [folder / "temporary", folder / "memory"]
    for place in places:
        place.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(places[0]))
        patch.setattr(upload, "_MEMORY", places[1])
        yield lambda: sum(1 for place in places for p in place.rglob("*") if p.is_file() and p.stat().st_size)


def is_longer(told: Any) -> bool:
    """Whether an answer says that a file is longer than it should be."""
    return "more bytes" in json.dumps(told)


def _is_said(answer: Any) -> bool:
    """Whether a refusal says in one of the two forms what is wrong, and names no place on the disk."""
    told = answer.json()
    if answer.headers.get("content-type") == "application/problem+json":
        code, said = told.get("code"), told.get("detail")
    else:
        code, said = (told.get("error", {}).get(name) for name in ("code", "message"))
    return bool(code and said) and not any(word in str(told) for word in ("Traceback", "temporary", "memory/"))
