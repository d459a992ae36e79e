"""A node on a disk that is full or broken: what it acknowledged is there, the rest is refused as out of resources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tests.faults.made_failing_node import try_one, unsound
from tests.faults.made_shim import library
from tests.faults.tally import Tally
from tests.faults.test_storage import ROOT, nth_fsync_fails
from tests.serve.pacs.listening import node, service_of

from insula.serve.store import schema
from insula.serve.store.connect import connect

pytestmark = pytest.mark.serve
KINDS = ("lost", "doubled", "leaked", "failed")


def test_an_object_that_the_disk_does_not_take_is_refused_and_taken_later(tmp_path: Path, tally: Tally) -> None:
    """The short form: Python's own fsync, in this process."""
    records = connect(f"sqlite:///{tmp_path}/insula.db")
    schema.metadata.create_all(records)
    service = service_of(records, tmp_path)
    with node(service) as port:
        found = [try_one(service, port, number, partial(nth_fsync_fails, 1)) for number in (1, 2)]
    assert all(one["status"] in range(0xA700, 0xA800) for one in found), found
    assert unsound(service, tmp_path) == []
    records.dispose()
    sums = {kind: sum(one[kind] for one in found) for kind in KINDS}
    tally.tried("objects by C-STORE while fsync says that the disk is full", len(found), **sums)


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("count", [100])
def test_any_call_may_fail_while_objects_come(tmp_path: Path, tally: Tally, count: int) -> None:
    """Every write, fsync, rename and creation of SQLite and the files, in a process of its own."""
    (tmp_path / "tmp").mkdir()
    env = os.environ | {"LD_PRELOAD": str(library(tmp_path)), "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.made_failing_node", str(tmp_path), "13", str(count)]
    log = tally.log("node-calls-that-fail.log")
    with log.open("w") as stream:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=stream, stderr=subprocess.STDOUT, check=False)
    text = log.read_text()
    assert done.returncode == 0, text[-3000:]
    lines = [json.loads(line[4:]) for line in text.splitlines() if line.startswith("TRY ")]
    statuses = Counter(f"0x{line['status']:04X}" if line["status"] is not None else "none" for line in lines)
    sums = {kind: sum(line[kind] for line in lines) for kind in KINDS}
    sums["failed"] += sum(len(line["unsound"]) for line in lines)
    assert len(lines) == count
    assert statuses["0xA700"] > count / 2, f"the disk failed at few tries: {statuses}"
    tally.tried(
        "objects by C-STORE, with one call on the disk failing, or all from one on",
        len(lines),
        **sums,
        figures={f"answers {status}": float(number) for status, number in statuses.items()},
    )
