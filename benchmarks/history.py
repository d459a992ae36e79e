"""How long a page of the history takes among 1,000,000 predictions (make bench-history; another number: an argument).

SQLite, as the service has it. Each filter is asked for its first, a middle and its last page, of 50 rows, by a caller
who sees three of four projects; all pages take turns in each round. The pages of the dashboard (`/history` with each
filter, `/queue`) are asked for through the whole application, by a reviewer's session: what is seen is told to the
trail, and the page is rendered. The rows are made, the tables and indices are the service's own.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, insert

from insula.serve.app import create_app
from insula.serve.people import users
from insula.serve.settings import Settings
from insula.serve.store import history, migrate, review_queue, schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.history import Filters
from insula.serve.store.review_queue import After

ROWS, ROUNDS, LIMIT = 1_000_000, 9, 50
GOALS = {"slowest_ms": 100.0}
START, DAYS = datetime(2023, 1, 1, tzinfo=UTC), 1095
PROJECTS = [f"{i:032x}" for i in range(4)]
READERS = [f"{i:032x}" for i in range(10, 13)]
ANSWER = {
    "case": "upload",
    "probabilities": {"normal": 0.123456, "stroke": 0.876544},
    "reasons": ["confidence 0.61 is below 0.70"],
    "distances": {f"part_{i}": 0.123456 for i in range(8)},
}


@dataclass(frozen=True)
class Page:
    """One page that is asked for: a filter's name, which page, and the call that gives the number of its rows."""

    name: str
    which: str
    ask: Callable[[], int]


def rows_of(count: int) -> Iterator[tuple[sqlalchemy.Table, list[dict[str, Any]]]]:
    """The rows of each table, in parts: a patient to four predictions, a study to two, a review to ten."""
    g = random.Random(7)
    yield schema.projects, [{"id": name, "name": f"project {i}"} for i, name in enumerate(PROJECTS)]
    users = ({"id": name, "name": f"reader {i}", "role": "reviewer"} for i, name in enumerate(READERS))
    yield schema.users, list(users)
    for start in range(0, count, 20_000):
        numbers = range(start, min(start + 20_000, count))
        of = {n: PROJECTS[(n // 4) % 4] for n in numbers}
        at = {n: START + timedelta(days=DAYS * n / count) for n in numbers}
        patients, studies, predictions, reviews = [], [], [], []
        for n in numbers:
            patient, study = f"{n // 4 + (1 << 64):032x}", f"{n // 2 + (2 << 64):032x}"
            one = {"project_id": of[n], "created_at": at[n]}
            if n % 4 == 0:
                patients.append({"seq": n // 4 + 1, "id": patient, "key": f"{g.getrandbits(40):010X}"} | one)
            if n % 2 == 0:
                studies.append({"seq": n // 2 + 1, "id": study, "patient_id": patient, "title": f"CT {n}"} | one)
            action = g.choices(("accept", "refer", "reject"), (85, 13, 2))[0]
            label = "" if action == "reject" else g.choices(("normal", "stroke", "other"), (80, 19.99, 0.01))[0]
            reviewed = g.random() < 0.1
            reader = READERS[0 if n < count // 100 else g.choices((1, 2), (99, 1))[0]]
            disagreed = reviewed and g.random() < 0.05
            row = {"seq": n + 1, "id": f"{n + (3 << 64):032x}", "study_id": study, "job_id": f"{n:032x}"}
            row |= {"bundle_id": f"b{3 * n // count}", "model_name": "stroke-ct", "action": action, "label": label}
            row |= {"confidence": g.random(), "entropy": None if action == "reject" else 0.69 * g.random()}
            predictions.append(row | one | {"answer": ANSWER, "reviewed": reviewed, "disagreed": disagreed})
            if reviewed:
                review = {"study_id": study, "prediction_id": row["id"], "prediction_seq": n + 1, "created_at": at[n]}
                reviews.append(
                    review | {"reviewer_id": reader, "target": "answer", "verdict": "agree", "signature": "A"}
                )
        yield schema.patients, patients
        yield schema.studies, studies
        yield schema.predictions, predictions
        yield schema.reviews, reviews


def made(engine: Engine, count: int) -> str:
    """Fill the tables, and make their indices afterwards; the key of one patient in the middle."""
    migrate.upgrade(engine)
    tables = (schema.patients, schema.studies, schema.predictions, schema.reviews)
    with writing(engine) as connection:
        for table in tables:
            for index in table.indexes:
                index.drop(connection)
    key = ""
    for table, rows in rows_of(count):
        if table is schema.patients and rows and rows[0]["seq"] <= count // 8:
            key = rows[len(rows) // 2]["key"]
        if rows:
            with writing(engine) as connection:
                connection.execute(insert(table), rows)
    with writing(engine) as connection:
        for table in tables:
            for index in table.indexes:
                index.create(connection)
    return key


def pages(engine: Engine, count: int, key: str) -> list[Page]:
    """Each filter's first, middle and last page, and those of the queue of reviews."""
    middle = START + timedelta(days=DAYS // 2)
    filters = {
        "none": Filters(),
        "action refer": Filters(action="refer"),
        "action reject": Filters(action="reject"),
        "label stroke": Filters(label="stroke"),
        "label other (rare)": Filters(label="other"),
        "bundle of the first year": Filters(bundle_id="b0"),
        "disagreed": Filters(disagreed=True),
        "read": Filters(reviewed=True),
        "not read": Filters(reviewed=False),
        "reader of most": Filters(reviewer_id=READERS[1]),
        "reader of few": Filters(reviewer_id=READERS[2]),
        "reader of old ones only": Filters(reviewer_id=READERS[0]),
        "one day": Filters(since=middle, until=middle + timedelta(days=1)),
        "until the second week": Filters(until=START + timedelta(days=14)),
        "part of a patient's key": Filters(patient=key[2:8]),
        "label, action and a year": Filters(
            label="stroke", action="refer", since=START + timedelta(days=365), until=START + timedelta(days=730)
        ),
        "disagreed and a rare label": Filters(disagreed=True, label="other"),
    }
    visible = set(PROJECTS[:3])

    def asked(filters: Filters, before: int | None, reader: str | None = None) -> Callable[[], int]:
        def ask() -> int:
            with reading(engine) as connection:
                return len(history.page(connection, visible, filters, before, LIMIT, reader).rows)

        return ask

    def queued(after: After | None) -> Callable[[], int]:
        def ask() -> int:
            with reading(engine) as connection:
                return len(review_queue.first(connection, visible, after, LIMIT))

        return ask

    places: dict[str, int | None] = {"first": None, "middle": count // 2, "last": LIMIT * 2}
    found = [Page(name, which, asked(f, before)) for name, f in filters.items() for which, before in places.items()]
    blinded = Filters(disagreed=True)
    found += [Page("disagreed, for a reader", which, asked(blinded, at, READERS[1])) for which, at in places.items()]
    ends = {"first": None, "middle": After(0.345, count // 2), "last": After(None, LIMIT * 40)}
    return found + [Page("queue of reviews", which, queued(after)) for which, after in ends.items()]


def routes(place: Path, key: str, stack: ExitStack) -> list[Page]:
    """The dashboard's pages, through the application, as a reviewer of three projects asks for them."""
    engine = connect(f"sqlite:///{place}")
    word = "a long enough phrase"
    with writing(engine) as connection:
        users.create(connection, "bench", "reviewer", datetime.now(UTC), password=word, projects_in=PROJECTS[:3])
    engine.dispose()
    files, trail_key = str(place.parent / "files"), SecretStr("k" * 40)
    app = create_app(Settings(database=f"sqlite:///{place}", files=files, trail_key=trail_key, per_minute=0.0, jobs=0))
    stack.callback(app.state.service.records.dispose)
    client = stack.enter_context(TestClient(app, base_url="https://127.0.0.1"))
    client.post("/api/v1/session", json={"name": "bench", "password": word}).raise_for_status()

    def asked(address: str) -> Callable[[], int]:
        def ask() -> int:
            answer = client.get(address, headers={"Accept": "text/html"})
            answer.raise_for_status()
            return answer.text.count("<tr>") - 1  # one is the head

        return ask

    middle = f"{START + timedelta(days=DAYS // 2):%Y-%m-%d}"
    addresses = [
        "/history", "/history?action=refer", "/history?label=stroke", "/history?model=b0", "/history?reviewed=true",
        "/history?reviewed=false", "/history?disagreed=true", f"/history?reviewer={READERS[1]}",
        f"/history?since={middle}&until={middle}", f"/history?patient={key[2:8]}", "/queue", "/queue?second=true",
    ]  # fmt: skip
    return [Page(address[:27], "whole", asked(address)) for address in addresses]


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}, SQLAlchemy {sqlalchemy.__version__}; load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder) / "insula.db"
        engine = connect(f"sqlite:///{place}")
        start = time.perf_counter()
        key = made(engine, count)
        seconds, size = time.perf_counter() - start, place.stat().st_size / 1e6
        print(f"{count:,} predictions made in {seconds:.0f} s, {size:.0f} MB; pages of {LIMIT}, {ROUNDS} rounds\n")
        wanted = pages(engine, count, key) + routes(place, key, stack)
        times: dict[tuple[str, str], list[float]] = {(one.name, one.which): [] for one in wanted}
        rows = dict.fromkeys(times, 0)
        for number in range(ROUNDS + 1):
            for one in wanted:
                start = time.perf_counter()
                rows[one.name, one.which] = one.ask()
                if number:  # the first round warms up
                    times[one.name, one.which].append(1000 * (time.perf_counter() - start))
        engine.dispose()
    middles = {page: statistics.median(found) for page, found in times.items()}
    print(f"{'filter':<28}{'page':<8}{'rows':>6}{'median ms':>11}{'least':>8}{'most':>8}")
    for (name, which), found in times.items():
        middle = middles[name, which]
        print(f"{name:<28}{which:<8}{rows[name, which]:>6}{middle:>11.1f}{min(found):>8.1f}{max(found):>8.1f}")
    slowest = max(middles, key=lambda page: middles[page])
    figures = {
        "rows": count,
        "slowest_ms": round(middles[slowest], 1),
        "slowest_page": " ".join(slowest),
        "median_ms": round(statistics.median(middles.values()), 1),
        "most_ms": round(max(max(found) for found in times.values()), 1),
    }
    holds = middles[slowest] <= GOALS["slowest_ms"]
    print(json.dumps({"bench": "history", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
