"""Data sets that are wrong on purpose, past the listener: stored under pseudonyms, and taken into the records."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Engine
from tests.pacs.fuzz import objects, pdus
from tests.serve.api.made import Made
from tests.serve.pacs.made_studies import node
from tests.serve.pacs.pseudonymous import PSEUDONYMS, everything, service_of

from insula.serve.pacs import file_meta
from insula.serve.pacs.received import RefusedInstanceError, receive
from insula.serve.store import schema

pytestmark = pytest.mark.serve
KEEP = "rules:\n  - {name: all, project: Inside}\n"
STATES = {"taken", "failed"}


def hostile(number: int, study: str) -> bytes:
    """One object as a file, in a study of its own."""
    random, uid = Random(f"object/{number}"), f"1.2.999.8.{number}"
    syntax, data = pdus.EXPLICIT, objects.hostile(random, uid)
    if number % 8 == 0:
        syntax, data = pdus.DEFLATED, objects.deflated(random, uid)
    if len(study) == len("1.2.999.3"):
        data = data.replace(b"1.2.999.3\0", study.encode() + b"\0")
    return file_meta.written(pdus.CT, uid, syntax) + data


def test_nothing_of_a_patient_is_kept_of_objects_that_are_wrong(records: Engine, tmp_path: Path) -> None:
    service, kept, said = service_of(records, tmp_path), 0, ""
    for number in range(120):
        try:
            receive(service, hostile(number, ""), "FUZZ", pseudonyms=PSEUDONYMS)
            kept += 1
        except RefusedInstanceError as error:
            said += str(error)
    assert not any(word in said for word in ("Canary", "4711", "1.2.999"))
    seen = everything(records) + b"".join(p.read_bytes() for p in (tmp_path / "files").rglob("*") if p.is_file())
    assert kept > 10
    assert not [word for word in (b"Canary", b"FUZZ-4711", b"1.2.999.8.", b"1.2.999.3\0") if word in seen]


def test_a_study_of_wrong_objects_is_taken_or_says_why_not(made: Made, tmp_path: Path) -> None:
    with node(made, tmp_path, KEEP) as quiet:
        names = set()
        for number in range(72):
            try:
                names.add(quiet.receive([hostile(number, f"1.2.999.{4 + number % 5}")], "FUZZ"))
            except RefusedInstanceError:
                continue
        quiet.quiet()
        quiet.worked()
        quiet.look()
        found = [quiet.row(name) for name in names]
        assert len(found) > 2
        assert {row.state for row in found} <= STATES
        failed = [row.error for row in found if row.state == "failed"]
        assert not any(word in str(error) for error in failed for word in ("Canary", "4711", "1.2.999", "Traceback"))
        stuck = [row.state for row in quiet.rows(schema.jobs, kind="pacs_take")]
        assert not {"waiting", "running"} & set(stuck)
