"""Clients that go on, whatever happens to the service, and know what it acknowledged to them."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import select
from tests.faults.made_killed_site import Site, slices
from tests.faults.made_zygote import PATIENCE
from tests.serve.api.made import KEY

from insula.client import Client
from insula.client.errors import RemoteError, UnfinishedError, UnreachableError
from insula.core.errors import InsulaError
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.files import open_files
from insula.serve.store.schema import now
from insula.serve.store.sweep import sweep
from insula.serve.trail.verify import verify

SENDERS = 3


@dataclass(eq=False)
class Ledger:
    """What was acknowledged, by the number of the patient; refused: answers that should not have come.

    busy: requests on their way now. sent: SHA-256 of each patient's files.
    """

    studies: dict[int, str] = field(default_factory=dict)
    jobs: dict[int, Any] = field(default_factory=dict)
    reviews: dict[int, list[str]] = field(default_factory=dict)
    predictions: dict[int, str] = field(default_factory=dict)
    sent: dict[int, set[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    plain: int = 0
    busy: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    sent_all: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def answers(self) -> int:
        """How many studies and predictions there are so far."""
        return len(self.studies) + len(self.predictions)

    def more(self, than: int) -> bool:
        """Whether more was acknowledged than so much, or a client met what it should not have."""
        return self.answers > than or bool(self.refused)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Counts a request as on its way."""
        with self._lock:
            self.busy += 1
        try:
            yield
        finally:
            with self._lock:
                self.busy -= 1


@contextmanager
def load(
    site: Site, most: int, plain: bool = True, allowed: Callable[[RemoteError], bool] | None = None
) -> Iterator[Ledger]:
    """Clients at work as long as the block runs; at its end they finish what they began. most: studies in all.

    plain: one more asks the plain endpoint, which keeps nothing. allowed: refusals after which they try again.
    """
    ledger = Ledger()
    allows = allowed or (lambda _: False)
    tasks = [partial(_send, site, ledger, range(k, most, SENDERS), allows) for k in range(SENDERS)]
    tasks += [partial(_plain, site, ledger, allows)] if plain else []
    sending = [threading.Thread(target=_told, args=(ledger, task), daemon=True) for task in tasks]
    reading_too = threading.Thread(target=_told, args=(ledger, partial(_read, site, ledger, allows)), daemon=True)
    for thread in (*sending, reading_too):
        thread.start()
    try:
        yield ledger
    finally:
        ledger.stop.set()
        for thread in sending:
            thread.join(PATIENCE)
        ledger.sent_all.set()
        reading_too.join(PATIENCE)
    assert not any(thread.is_alive() for thread in (*sending, reading_too)), "a client does not end"


def _told(ledger: Ledger, task: Callable[[], None]) -> None:
    try:
        task()
    except Exception as error:  # noqa: BLE001 - whatever ends a client is told at the end of the try
        ledger.refused.append(f"{type(error).__name__}: {error}"[:300])


def _client(site: Site) -> Client:
    """One that tries until it is answered, soon again each time."""
    patience = threading.Event()
    return Client(site.address, site.reviewer, tries=100_000, sleep=lambda s: bool(patience.wait(min(s, 0.05))))  # type: ignore[arg-type]


def _until_taken(ledger: Ledger, allowed: Callable[[RemoteError], bool], ask: Callable[[], Any]) -> Any:
    while True:
        try:
            with ledger.at_work():
                return ask()
        except UnreachableError:
            raise
        except RemoteError as error:
            if not allowed(error):
                raise


def _send(site: Site, ledger: Ledger, numbers: range, allowed: Callable[[RemoteError], bool]) -> None:
    with _client(site) as client:
        for n in numbers:
            if ledger.stop.is_set():
                return
            _study(client, site, ledger, n, allowed)


def _study(client: Client, site: Site, ledger: Ledger, n: int, allowed: Callable[[RemoteError], bool]) -> None:
    """A study sent, its prediction asked for, and a word said of it."""
    folder = slices(site.folder / "scans" / str(n), n)
    ledger.sent[n] = {hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

    def send() -> str:
        return client.upload(folder, site.project, f"K-{n}", idempotency_key=f"study-{n}").id

    def ask() -> Any:
        try:
            return client.predict_study(ledger.studies[n], wait=0, idempotency_key=f"ask-{n}")
        except UnfinishedError as error:
            return error.job

    def say() -> str:
        told = (ledger.studies[n], "answer", "override", "R. Reader")
        return client.review(*told, label="stroke", idempotency_key=f"first-{n}").id

    ledger.studies[n] = _until_taken(ledger, allowed, send)
    ledger.jobs[n] = _until_taken(ledger, allowed, ask)
    ledger.reviews[n] = [_until_taken(ledger, allowed, say)]


def _read(site: Site, ledger: Ledger, allowed: Callable[[RemoteError], bool]) -> None:
    """Follow each job to its end, and say a word of its answer; until all are sent and none is left."""
    with _client(site) as client:
        while True:
            over = ledger.sent_all.is_set()
            for n in sorted(set(ledger.reviews) - set(ledger.predictions)):
                _answer(client, ledger, n, allowed)
            if over:
                return
            ledger.sent_all.wait(0.05)


def _answer(client: Client, ledger: Ledger, n: int, allowed: Callable[[RemoteError], bool]) -> None:
    def follow() -> str:
        return client.follow(ledger.jobs[n], wait=PATIENCE).id

    def say() -> str:
        told = (ledger.studies[n], "answer", "cannot_tell", "R. Reader")
        return client.review(*told, prediction=found, idempotency_key=f"second-{n}").id

    found = _until_taken(ledger, allowed, follow)
    ledger.reviews[n].append(_until_taken(ledger, allowed, say))
    ledger.predictions[n] = found


def _plain(site: Site, ledger: Ledger, allowed: Callable[[RemoteError], bool]) -> None:
    """Asks the plain endpoint, which is sent nothing twice: a lost answer is the asker's to ask for again."""
    place = slices(site.folder / "plain", 1_000_000, count=1) / "1.dcm"
    with Client(site.address, site.reviewer, tries=1) as client:
        while not ledger.stop.is_set():
            try:
                with ledger.at_work():
                    client.predict(place)
                ledger.plain += 1
            except UnreachableError:
                ledger.stop.wait(0.02)
            except RemoteError as error:
                if error.status != 503 and not allowed(error):
                    raise


@dataclass(frozen=True)
class Found:
    """What became of what was acknowledged: how often something was lost or doubled, and what else was wrong."""

    lost: int
    doubled: int
    wrong: tuple[str, ...]


def held_against(site: Site, ledger: Ledger) -> Found:
    """Hold the records against the ledger, once nothing runs any more."""
    lost, doubled, wrong = 0, 0, [f"refused: {one}" for one in ledger.refused]
    studies, patients = site.rows(schema.studies), {row.id: row.key for row in site.rows(schema.patients)}
    by_patient = Counter(patients[row.patient_id] for row in studies)
    there = {row.id for row in studies}
    for n, study in ledger.studies.items():
        lost += study not in there
        doubled += by_patient[f"K-{n}"] > 1
    doubled += sum(count > 1 for count in by_patient.values()) - sum(by_patient[f"K-{n}"] > 1 for n in ledger.studies)
    named: dict[str, list[str]] = {}
    for row in site.rows(schema.files):
        named.setdefault(row.study_id, []).append(row.sha256)
    stored = open_files(str(site.folder / "files"))
    for n, study in ledger.studies.items():
        lost += set(named.get(study, ())) != ledger.sent[n]
        doubled += len(named.get(study, ())) != len(set(named.get(study, ())))
        for sha256 in ledger.sent[n]:
            with contextlib.suppress(InsulaError):
                stored.get(sha256)  # read to its end and verified
                continue
            lost += 1
    jobs = {row.id: row for row in site.rows(schema.jobs)}
    made = Counter(row.job_id for row in site.rows(schema.predictions))
    for job in ledger.jobs.values():
        lost += job.id not in jobs or jobs[job.id].state != "done" or not made[job.id]
    doubled += sum(count > 1 for count in made.values())
    doubled += sum(count > 1 for count in Counter(row.study_id for row in jobs.values()).values())
    said = Counter(row.study_id for row in site.rows(schema.reviews))
    ids = {row.id for row in site.rows(schema.reviews)}
    for n, names in ledger.reviews.items():
        lost += sum(name not in ids for name in names)
        doubled += said[ledger.studies[n]] > len(names)
    verdict = verify(site.engine, KEY.encode(), str(site.folder / "heads.jsonl"))
    wrong += [] if verdict.holds else [verdict.said()]
    wrong += _files(site)
    return Found(lost, doubled, tuple(wrong))


def _files(site: Site) -> list[str]:
    """What lies among the files that no record names, once a sweep has been."""
    stored = open_files(str(site.folder / "files"))
    with writing(site.engine) as connection:
        sweep(connection, stored, now())
    with reading(site.engine) as connection:
        named = set(connection.scalars(select(schema.files.c.sha256)))
        named |= set(connection.scalars(select(schema.artefacts.c.sha256)))
    there = {path.name for path in (site.folder / "files").rglob("*") if path.is_file()}
    return [f"{len(there - named)} files of no record"] * bool(there - named)


def faults(log: str) -> list[str]:
    """Lines of a log that tell of an error of the program."""
    words = ('"event": "fault"', '"event": "job failed"', '"event": "chore"', "Traceback")
    return [line[:300] for line in log.splitlines() if any(word in line for word in words)]
