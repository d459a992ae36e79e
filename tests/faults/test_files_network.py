"""Damaged objects and messages through STOW-RS and C-STORE: refused one by one; what was acknowledged is there."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pydicom
import pytest
from sqlalchemy import select
from tests.faults.tally import Tally, sizes
from tests.pacs.fuzz import mutate, objects, pdus
from tests.pacs.fuzz.node import Node, running
from tests.pacs.fuzz.test_node import sent_to
from tests.scans.mutations import mutants
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import message, study, values, with_rules
from tests.serve.pacs.listening import node, service_of

from insula.serve.pacs import file_meta
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading

ADDRESS = "/dicom-web/studies"
KEPT, FAILED = "00081199", "00081198"


@sizes("count", 12, 4_000)
def test_damaged_objects_and_messages_over_stow(
    count: int, tally: Tally, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: Counter[int] = Counter()
    crashed = lost = 0
    acknowledged: set[str] = set()
    monkeypatch.setenv(
        "INSULA_PACS_MOST_WAITING", str(4 * count + 100)
    )  # nobody takes the studies, and each is another
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made, tally.log("stow.txt").open("w") as log:
        caller = made.client("reader")
        for number, sent in enumerate(messages(count, seed=15)):
            answer = caller.post(ADDRESS, **sent)
            statuses[answer.status_code] += 1
            log.write(f"{number}: {answer.status_code} {answer.headers.get('content-type')}\n")
            crashed += answer.status_code >= 500
            acknowledged |= said(answer)
            if number % 25 == 24:
                lost += not said(caller.post(ADDRESS, **message([study()])))
        there = stored(made)
        lost += len(acknowledged - there)
        crashed += caller.get("/health").status_code != 200
    tally.tried(
        "damaged objects and messages sent by STOW-RS",
        count,
        lost=lost,
        crashed=crashed,
        figures={f"answers {status}": str(number) for status, number in sorted(statuses.items())},
    )


@sizes("count", 42, 10_000)
def test_wrong_units_commands_and_objects_by_c_store(count: int, tally: Tally, tmp_path: Path) -> None:
    with running(tmp_path) if count > 1000 else in_this_process(tmp_path) as one:
        sent_to(one, 3, count)
        held, log = one.records(), one.log() if count > 1000 else []
    if log:
        tally.log("c-store.txt").write_text((tmp_path / "log").read_text(encoding="utf-8"), encoding="utf-8")
    tally.tried(
        "connections to the node with wrong units, commands and objects",
        count,
        lost=len(one.stored - held.keys()),
        crashed=sum(entry.get("level") in ("error", "critical") for entry in log),
        figures={"objects acknowledged": str(len(one.stored))},
    )


def messages(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """What is sent: a file damaged in each of the ways of the reader's tries, an object that is wrong, a message whose
    bytes are changed, by turns.
    """
    files = mutants(9 * count, seed)  # kinds take turns, and the first is DICOM
    for number in range(count):
        random = Random(f"{seed}/{number}")
        uid = f"1.2.999.15.{number}"
        if number % 3 == 0:
            yield message([next(one.data for one in files if one.kind == "dicom")])
        elif number % 3 == 1:
            yield message([file_meta.written(pdus.CT, uid, pdus.EXPLICIT) + objects.hostile(random, uid), study()])
        else:
            whole = message([study(), study()])
            kind = whole["headers"]["Content-Type"]
            whole["content"] = mutate.changed(random, whole["content"])
            if random.random() < 0.3:
                kind = mutate.changed(random, kind.encode()).decode("latin-1")
            yield whole | {"headers": {"Content-Type": "".join(c for c in kind if c.isprintable() and c.isascii())}}


def said(answer: Any) -> set[str]:
    """The UIDs that an answer acknowledges."""
    if answer.headers.get("content-type") != "application/dicom+json":
        return set()
    return {uid for item in values(answer.json(), KEPT) for uid in values(item, "00081155")}


def stored(made: Made) -> set[str]:
    """The UIDs that the records have, whose files say the same of themselves."""
    table = schema.pacs_instances.c
    with reading(made.service.records) as connection:
        rows = connection.execute(select(table.sop_instance_uid, table.sha256)).all()
    found = set()
    for row in rows:
        data = made.service.files.get(row.sha256)
        syntax, start = file_meta.split(data)
        assert syntax
        assert row.sop_instance_uid.encode() in data[:start]
        found.add(row.sop_instance_uid)
    return found


@contextmanager
def in_this_process(folder: Path) -> Iterator[Node]:
    """The node's listener as a thread, for as many tries as need no process of their own."""
    records = connect(f"sqlite:///{folder}/insula.db")
    schema.metadata.create_all(records)
    with node(service_of(records, folder), allow="FUZZ,HONEST", max_instance_mb=16) as port:
        process: Any = SimpleNamespace(pid=os.getpid())
        yield Node(process, folder, port)
    records.dispose()


def test_a_sound_object_is_acknowledged_and_there(tmp_path: Path) -> None:
    with with_rules(tmp_path, f"sqlite:///{tmp_path}/insula.db") as made:
        sent = study()
        answer = made.client("reader").post(ADDRESS, **message([sent]))
        assert said(answer) == {str(pydicom.dcmread(io.BytesIO(sent)).SOPInstanceUID)} == stored(made)
