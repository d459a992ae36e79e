"""A service whose disk fails at chosen calls, and what it says and keeps: `python -m tests.faults.made_failing …`.

Each try lets one call on a file (a write, fsync, rename, mkdir or creation) fail, or all from that one on, while one
thing is done; then the disk is well again, and the same thing has to succeed, once.
"""

from __future__ import annotations

import errno
import io
import json
import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import UID
from sqlalchemy import Table, func, select
from sqlalchemy.exc import SQLAlchemyError
from tests.faults.made_shim import Disk, failing
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.core.errors import InsulaError
from insula.serve import trouble
from insula.serve.chores import Chores
from insula.serve.jobs.worker import work
from insula.serve.pacs.received import RefusedInstanceError, receive
from insula.serve.store import backup, schema, sound
from insula.serve.store.connect import reading
from insula.serve.trail.verify import verify
from insula.serve.work import handlers

ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC)
Arm = Callable[[], AbstractContextManager[Any]]


@dataclass
class Found:
    """What went wrong in one try, by kind."""

    lost: int = 0
    doubled: int = 0
    leaked: int = 0
    failed: int = 0
    said: str = ""


class Trial:
    """One service, and the things that are done with it."""

    def __init__(self, made: Made, folder: Path) -> None:
        self.made, self.folder, self.number = made, folder, 0
        self.reviewer = made.client("reviewer")
        self.study = made.study(patient="FIRST")["id"]

    def upload(self, arm: Arm) -> Found:
        """A study by HTTP."""
        self.number += 1
        before = self.count(schema.studies)
        form = {"project": self.made.inside, "patient": f"U-{self.number}"}
        sent = [("files", ("1.dcm", dicom(seed=self.number), "application/dicom"))]
        with arm():
            answer = self.reviewer.post("/api/v1/studies", data=form, files=sent)
        after = self.count(schema.studies) - before
        if answer.status_code == 201:
            return Found(lost=int(after < 1), doubled=int(after > 1))
        found = self.refused(answer, after)
        again = self.reviewer.post("/api/v1/studies", data=form, files=sent)
        return found if again.status_code == 201 else Found(failed=1, said=f"no recovery: {again.text}")

    def review(self, arm: Arm) -> Found:
        """A reader's answer."""
        before = self.count(schema.reviews)
        body = {"target": "answer", "verdict": "override", "label": "stroke", "signature": "R. Viewer"}
        with arm():
            answer = self.reviewer.post(f"/api/v1/studies/{self.study}/reviews", json=body)
        after = self.count(schema.reviews) - before
        if answer.status_code == 201:
            return Found(lost=int(after < 1), doubled=int(after > 1))
        return self.refused(answer, after)

    def predict(self, arm: Arm) -> Found:
        """A job, which is worked on while the disk fails, and an hour later."""
        asked = self.reviewer.post(f"/api/v1/studies/{self.study}/predictions", json={})
        before = self.count(schema.predictions)
        with arm():
            self.made.worked()
        later = schema.now() + timedelta(hours=1)
        work(self.made.service.records, handlers(self.made.service), "later", threading.Event(),
             clock=lambda: later, until_idle=True)  # fmt: skip
        state = self.reviewer.get(f"/api/v1/jobs/{asked.json()['id']}").json()["state"]
        after = self.count(schema.predictions) - before
        return Found(lost=int(state != "done" or after < 1), doubled=int(after > 1), said=state)

    def heads(self, arm: Arm) -> Found:
        """A signed head of the trail."""
        chores = Chores(self.made.service)
        self.number += 1
        self.review(nullcontext)  # so that there is something to be signed
        at = schema.now() + timedelta(hours=2 * self.number)
        with arm():
            try:
                chores.heads(at)
            except (OSError, SQLAlchemyError) as error:
                if trouble.of(error) is None:
                    return Found(failed=1, said=repr(error))
        chores.heads(at + timedelta(hours=1))
        verdict = verify(self.made.service.records, self.made.service.key, self.made.settings.trail_heads)
        return Found(failed=int(not verdict.holds), said=verdict.said())

    def store(self, arm: Arm) -> Found:
        """An object from the network."""
        self.number += 1
        file = pydicom.dcmread(io.BytesIO(dicom(seed=self.number)))
        file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.7.{self.number}")
        stream = io.BytesIO()
        file.save_as(stream, enforce_file_format=True)
        before, sound_refusal = self.count(schema.pacs_instances), True
        with arm():
            try:
                receive(self.made.service, stream.getvalue(), "SCANNER")
                taken = True
            except (RefusedInstanceError, OSError, SQLAlchemyError) as error:
                taken, sound_refusal = False, _is_trouble(error)
        after = self.count(schema.pacs_instances) - before
        if taken:
            return Found(lost=int(after < 1), doubled=int(after > 1))
        receive(self.made.service, stream.getvalue(), "SCANNER")
        there = self.count(schema.pacs_instances) - before
        return Found(lost=int(there < 1), doubled=int(there > 1), leaked=after, failed=int(not sound_refusal))

    def backup(self, arm: Arm) -> Found:
        """A backup, which is there whole or not at all."""
        service, out = self.made.service, self.folder / "backup"
        with arm():
            try:
                backup.make(service.records, service.files, out, service.key)
            except (InsulaError, OSError, SQLAlchemyError):
                if out.exists() and any(out.iterdir()):
                    return Found(leaked=1, said="something of a backup is left")
        shutil.rmtree(out, ignore_errors=True)
        made = backup.make(service.records, service.files, out, service.key)
        shutil.rmtree(out)
        return Found(lost=len(made.lacking))

    def refused(self, answer: Any, after: int) -> Found:
        """What is wrong with a refusal: of another status than it should have, or something was kept in spite of it."""
        known = answer.status_code in (503, 507) and answer.json().get("code") in trouble.CODES
        return Found(leaked=after, failed=int(not known), said=str(answer.status_code) if known else answer.text)

    def count(self, table: Table) -> int:
        """How many rows a table has."""
        with reading(self.made.service.records) as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    def whole(self) -> tuple[str, ...]:
        """What is not sound of records, files and trail, and what was left half done."""
        service = self.made.service
        verdict = verify(service.records, service.key, self.made.settings.trail_heads)
        trail = () if verdict.holds else (verdict.said(),)
        left = tuple(str(path.name) for path in (self.folder / "files" / "unfinished").glob("*"))
        return (*sound.look(service.records, service.files).faults, *trail, *left)


def tries(trial: Trial, seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Tries of each kind of thing, one line each."""
    g = random.Random(seed)
    kinds = [trial.upload, trial.review, trial.predict, trial.heads, trial.store, trial.backup]
    for act in kinds:
        act(partial(failing, trial.folder, 0, 0, False))  # what is only done once is done
        calls: list[Disk] = []
        act(partial(_noting, calls, partial(failing, trial.folder, 0, 0, False)))
        for number in range(count):
            nth, error, lasting = g.randint(1, calls[0].seen), g.choice(ERRORS), g.random() < 0.4
            armed: list[Disk] = []
            found = act(partial(_noting, armed, partial(failing, trial.folder, nth, error, lasting)))
            faults = trial.whole() if number % 20 == 19 or number == count - 1 else ()
            told = {"act": act.__name__, "nth": nth, "of": calls[0].seen, "error": errno.errorcode[error]}
            yield {**told, "lasting": lasting, "hit": armed[0].failed, **vars(found), "unsound": faults}


@contextmanager
def _noting(seen: list[Disk], inner: Callable[[], AbstractContextManager[Disk]]) -> Iterator[None]:
    """Keep what became of a disk that is armed."""
    with inner() as disk:
        seen.append(disk)
        yield


def _is_trouble(error: Exception) -> bool:
    return isinstance(error, RefusedInstanceError) or trouble.of(error) is not None


def main(folder: Path, seed: int, count: int) -> None:
    """Print a line of JSON for each try."""
    bundle = make(folder, unit="series")
    with service(bundle, f"sqlite:///{folder}/insula.db", folder) as made:
        for line in tries(Trial(made, folder), seed, count):
            sys.stdout.write(f"TRY {json.dumps(line)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
