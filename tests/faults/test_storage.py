"""Disks that are full or broken at any call: what is acknowledged is kept, what is refused leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.faults.made_failing import Trial
from tests.faults.made_shim import library
from tests.faults.made_small_disk import Small, small_disk
from tests.faults.tally import Tally
from tests.serve.api.made import service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.serve import trouble

pytestmark = pytest.mark.serve
ROOT = Path(__file__).parents[2]
WORDS = {
    "upload": "uploads of a study, with one call on the disk failing, or all from one on",
    "review": "readers' answers, with one call on the disk failing, or all from one on",
    "predict": "jobs that predict, with one call on the disk failing, or all from one on",
    "heads": "signed heads of the trail, with one call on the disk failing, or all from one on",
    "store": "objects from the network, with one call on the disk failing, or all from one on",
    "backup": "backups, with one call on the disk failing, or all from one on",
}


@contextmanager
def nth_fsync_fails(nth: int) -> Iterator[None]:
    """The nth fsync, and each after it, says that the disk is full."""
    real, seen = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        seen[0] += 1
        if seen[0] >= nth:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        yield
    assert seen[0] >= nth, "the call that should have failed never came"


def test_a_few_calls_that_fail(tmp_path: Path, tally: Tally) -> None:
    """The short form: Python's own fsync, in this process."""
    bundle, count = make(tmp_path, unit="series"), 0
    with service(bundle, f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        trial = Trial(made, tmp_path)
        for act, nth in ((trial.upload, 1), (trial.upload, 2), (trial.predict, 1), (trial.heads, 1), (trial.store, 1)):
            found = act(partial(nth_fsync_fails, nth))
            assert (found.lost, found.doubled, found.leaked, found.failed) == (0, 0, 0, 0), found
            count += 1
        assert trial.whole() == ()
    tally.tried("things done while fsync says that the disk is full", count)


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_any_call_may_fail(tmp_path: Path, tally: Tally) -> None:
    """Every write, fsync, rename and creation of SQLite, the files and the trail, in a process of its own."""
    (tmp_path / "tmp").mkdir()
    env = os.environ | {"LD_PRELOAD": str(library(tmp_path)), "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.made_failing", str(tmp_path), "12", "100"]
    log = tally.log("calls-that-fail.log")
    with log.open("w") as stream:
        done = subprocess.run(command, cwd=ROOT, env=env, stdout=stream, stderr=subprocess.STDOUT, check=False)
    text = log.read_text()
    assert done.returncode == 0, text[-3000:]
    lines = [json.loads(line[4:]) for line in text.splitlines() if line.startswith("TRY ")]
    for act, words in WORDS.items():
        of = [line for line in lines if line["act"] == act]
        sums = {kind: sum(line[kind] for line in of) for kind in ("lost", "doubled", "leaked", "failed")}
        sums["failed"] += sum(len(line["unsound"]) for line in of)
        assert sum(line["hit"] > 0 for line in of) > 0.9 * len(of), "the disk failed at few tries"
        tally.tried(words, len(of), **sums, figures={"calls on the disk": float(of[0]["of"])})


@dataclass
class Sender:
    """Somebody who uploads, asks for predictions and reads, and remembers what was acknowledged."""

    small: Small
    stop: threading.Event = field(default_factory=threading.Event)
    studies: dict[str, str] = field(default_factory=dict)  # id → its patient's key
    reviews: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    number: int = 0

    def run(self) -> None:
        """Go on until told to stop."""
        with self.small.client() as client:
            while not self.stop.is_set():
                self.number += 1
                key = f"P-{self.number}"
                sent = [("files", ("1.dcm", dicom(seed=self.number, patient=key), "application/dicom"))]
                form = {"project": self.small.project, "patient": key}
                made = self.noted(client.post("/api/v1/studies", data=form, files=sent), 201)
                if made is None:
                    continue
                self.studies[made["id"]] = key
                asked = self.noted(client.post(f"/api/v1/studies/{made['id']}/predictions", json={}), 202)
                self.jobs += [] if asked is None else [asked["id"]]
                said = {"target": "answer", "verdict": "override", "label": "stroke", "signature": "R"}
                read = self.noted(client.post(f"/api/v1/studies/{made['id']}/reviews", json=said), 201)
                self.reviews += [] if read is None else [made["id"]]

    def noted(self, answer: Any, wanted: int) -> Any:
        """The body of an answer that is as wanted; a refusal is counted, and has to be a proper one."""
        if answer.status_code == wanted:
            return answer.json()
        code = answer.json().get("code", "")
        if answer.status_code not in (503, 507) or code not in trouble.CODES:
            self.wrong.append(answer.text)
        self.refused[f"{answer.status_code} {code}"] += 1
        self.stop.wait(0.05)
        return None


def until(what: str, ready: Any, small: Small, seconds: float = 300) -> float:
    """Wait for a condition; how long that took. Fails after a bound that only something that hangs reaches."""
    begun = time.monotonic()
    while not ready():
        assert small.process.poll() is None, f"the service ended: {small.log.read_text()[-3000:]}"
        assert time.monotonic() - begun < seconds, f"{what}: waited in vain: {small.log.read_text()[-3000:]}"
        time.sleep(0.01)
    return time.monotonic() - begun


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_a_small_disk_filled_to_the_last_block(tmp_path: Path, tally: Tally) -> None:
    """A service on a disk of its own that is filled at random moments, and emptied again."""
    g, fills, recovery = random.Random(12), 25, []
    with small_disk(tmp_path, make(tmp_path, unit="series")) as small, small.client() as asking:
        sender = Sender(small)
        thread = threading.Thread(target=sender.run)
        thread.start()
        try:
            for number in range(fills):
                more = sender.number + g.randint(1, 4)
                until("uploads", lambda more=more: sender.number >= more, small)
                time.sleep(g.random() * 0.1)
                (small.fill_names if number % 3 == 2 else small.fill_blocks)()
                before = sender.refused.total()
                until("a refusal", lambda before=before: sender.refused.total() > before, small)
                health = asking.get("/health").status_code
                assert health in (200, 503), health
                small.make_room()
                there = len(sender.studies)
                recovery.append(until("recovery", lambda there=there: len(sender.studies) > there, small))
        finally:
            sender.stop.set()
            thread.join()
        lost, doubled = checked(sender, asking, small)
        assert small.verb("records", "check", "--whole")["faults"] == []
        small.verb("audit-trail", "verify")
        log = small.log.read_text()
        tally.log("small-disk.log").write_text(log)
    figures = {"recovery, median s": sorted(recovery)[len(recovery) // 2], "recovery, longest s": max(recovery)}
    figures["studies"] = float(len(sender.studies))
    refused = {f"refused {name}": float(count) for name, count in sender.refused.items()}
    assert "Traceback" not in log
    tally.tried(
        "disk of 24 MB filled to the last block or name, with uploads, predictions and reviews under way",
        fills,
        lost=lost,
        doubled=doubled,
        failed=len(sender.wrong),
        figures=figures | refused,
    )


def checked(sender: Sender, client: Any, small: Small) -> tuple[int, int]:
    """How much of what was acknowledged is not there, or there twice."""
    lost = doubled = 0

    def ended(job: str) -> bool:
        return client.get(f"/api/v1/jobs/{job}").json()["state"] in ("done", "failed", "dead", "cancelled")

    for job in sender.jobs:
        until(f"job {job}", lambda job=job: ended(job), small, 600)
        lost += client.get(f"/api/v1/jobs/{job}").json()["state"] != "done"
    for name in sender.studies:
        found = client.get(f"/api/v1/studies/{name}")
        lost += found.status_code != 200 or len(found.json()["files"]) != 1
    for name in sender.reviews:
        lost += len(client.get(f"/api/v1/studies/{name}/reviews").json()) != 1
    items: list[Any] = []
    after = None
    while True:
        page = client.get("/api/v1/studies", params={"limit": 100, **({"after": after} if after else {})}).json()
        items, after = items + page["items"], page["next"]
        if after is None:
            break
    patients = Counter(one["patient_id"] for one in items)
    doubled += sum(count - 1 for count in patients.values())
    return lost, doubled
