"""PostgreSQL killed, halted, or with no connection left: 503 with a reason, nothing lost, and all is well by itself."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, func, make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool
from tests.faults.made_postgres import Postgres, postgres
from tests.faults.tally import Tally
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.serve import trouble
from insula.serve.store import schema, sound
from insula.serve.store.connect import reading
from insula.serve.trail.verify import verify
from insula.serve.work import at_work

pytestmark = [pytest.mark.serve, pytest.mark.faults, pytest.mark.timeout(3600)]


@dataclass
class Sender:
    """Somebody who uploads and asks for predictions, and remembers what was acknowledged."""

    made: Made
    stop: threading.Event = field(default_factory=threading.Event)
    studies: list[str] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def run(self, client: TestClient, name: str) -> None:
        """Go on until told to stop."""
        number = 0
        while not self.stop.is_set():
            number += 1
            sent = [("files", ("1.dcm", dicom(seed=number), "application/dicom"))]
            form = {"project": self.made.inside, "patient": f"{name}-{number}"}
            study = self._noted(client.post("/api/v1/studies", data=form, files=sent), 201)
            self.studies += [study] * bool(study)
            if study:
                job = self._noted(client.post(f"/api/v1/studies/{study}/predictions", json={}), 202)
                self.jobs += [job] * bool(job)

    def _noted(self, answer: Any, wanted: int) -> str:
        if answer.status_code == wanted:
            return str(answer.json()["id"])
        code = answer.json().get("code", "")
        if answer.status_code != 503 or code not in trouble.CODES:
            self.wrong.append(f"{answer.status_code} {answer.text[:300]}")
        self.refused[code] += 1
        self.stop.wait(0.05)
        return ""


@pytest.fixture(scope="module")
def there() -> Iterator[Postgres]:
    with postgres() as found:
        yield found


def cleared(there: Postgres) -> None:
    """Leave no table."""
    engine = create_engine(make_url(there.address).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()


@contextmanager
def sending(there: Postgres, folder: Path) -> Iterator[Sender]:
    """A service on PostgreSQL that works on its jobs, with two senders."""
    cleared(there)
    with service(make(folder, unit="series"), there.address, folder) as made, at_work(made.service, 1):
        sender = Sender(made)
        clients = [made.client("reviewer"), made.client("admin")]
        threads = [
            threading.Thread(target=sender.run, args=(one, name)) for one, name in zip(clients, "ab", strict=True)
        ]
        for thread in threads:
            thread.start()
        try:
            yield sender
        finally:
            sender.stop.set()
            for thread in threads:
                thread.join()
        until(lambda: ended(made.service.records) == len(sender.jobs))


def until(ready: Callable[[], bool], seconds: float = 300) -> float:
    """Wait for a condition; how long that took."""
    begun = time.monotonic()
    while not ready():
        assert time.monotonic() - begun < seconds, "waited in vain"
        time.sleep(0.01)
    return time.monotonic() - begun


def _has(sender: Sender, count: int) -> bool:
    return len(sender.studies) >= count


def ended(records: Engine) -> int:
    jobs = schema.jobs.c
    with reading(records) as connection:
        return int(connection.scalar(select(func.count()).where(jobs.state == "done")) or 0)


def judged(sender: Sender) -> dict[str, int]:
    """What was lost or doubled of what was acknowledged, and what is not sound."""
    found = sender.made.service
    with reading(found.records) as connection:
        names = set(connection.scalars(select(schema.studies.c.id)))
        patients = Counter(connection.scalars(select(schema.studies.c.patient_id)))
        made = Counter(connection.scalars(select(schema.predictions.c.study_id)))
        dead = connection.scalar(select(func.count()).where(schema.jobs.c.state != "done"))
    faults = sound.look(found.records, found.files).faults
    trail = verify(found.records, found.key, sender.made.settings.trail_heads)
    return {
        "lost": len(set(sender.studies) - names) + int(dead or 0),
        "doubled": sum(count - 1 for count in (patients | made).values()),
        "failed": len(sender.wrong) + len(faults) + (not trail.holds),
    }


def test_killed_and_started_again(there: Postgres, tmp_path: Path, tally: Tally) -> None:
    g, kills, recovery = random.Random(12), 12, []
    with sending(there, tmp_path) as sender:
        health = sender.made.fresh()
        for _ in range(kills):
            more = len(sender.studies) + g.randint(1, 5)
            until(partial(_has, sender, more))
            time.sleep(g.random() * 0.05)
            there.kill()
            until(lambda: health.get("/health").status_code == 503)
            there.start()
            before = len(sender.studies)
            recovery.append(until(partial(_has, sender, before + 1)))
            assert health.get("/health").status_code == 200
    tally.log("postgresql-killed.log").write_text("\n".join([*sender.wrong, str(sender.refused)]))
    figures = {"recovery, median s": sorted(recovery)[kills // 2], "recovery, longest s": max(recovery)}
    figures |= {"studies": float(len(sender.studies)), "refused": float(sender.refused.total())}
    tally.tried("PostgreSQL killed (SIGKILL) and started again under load", kills, **judged(sender), figures=figures)


def test_halted(there: Postgres, tmp_path: Path, tally: Tally) -> None:
    """A server that stands still: health says so, in time, and afterwards everything goes on."""
    halts, longest, wrong = 5, 0.0, 0
    with sending(there, tmp_path) as sender:
        client = sender.made.fresh()
        for _ in range(halts):
            more = len(sender.studies) + 3
            until(partial(_has, sender, more))
            with there.halted():
                begun = time.monotonic()
                while True:
                    at = time.monotonic()
                    status = client.get("/health").status_code
                    longest = max(longest, time.monotonic() - at)
                    if status == 503:
                        break
                    wrong += status != 200
                    assert time.monotonic() - begun < 300, "health never says that the records are silent"
                    time.sleep(0.1)
            before = len(sender.studies)
            until(partial(_has, sender, before + 1))
    found = judged(sender)
    found["failed"] += wrong
    tally.log("postgresql-halted.log").write_text("\n".join([*sender.wrong, str(sender.refused), str(found)]))
    tally.tried("PostgreSQL halted (SIGSTOP) under load", halts, **found, figures={"health, longest s": longest})


def test_no_connection_is_left(there: Postgres, tmp_path: Path, tally: Tally) -> None:
    """Others hold all connections of the server, or the service's own are all taken."""
    tries, failed = 10, 0
    cleared(there)
    with service(None, there.address, tmp_path) as made:
        client, engine = made.client("reviewer"), made.service.records
        plain = create_engine(make_url(there.address).set(drivername="postgresql+psycopg"), poolclass=NullPool)
        for number in range(tries):
            held: list[Any] = []
            if number % 2:
                engine.pool._timeout = 0.05  # type: ignore[attr-defined]
                held = [engine.connect() for _ in range(30)]
            else:
                engine.dispose()
                with suppress(OperationalError):
                    while len(held) < 1000:
                        held.append(plain.connect())
                assert len(held) < 1000, "the server has more connections than can be taken"
            answer = client.get("/api/v1/studies")
            failed += (answer.status_code, answer.json().get("code")) not in (
                (503, "records_busy"),
                (503, "records_silent"),
            )
            for one in held:
                one.close()
            engine.pool._timeout = 10  # type: ignore[attr-defined]
            failed += client.get("/api/v1/studies").status_code != 200
        plain.dispose()
    tally.tried("PostgreSQL without a free connection", tries, failed=failed)
