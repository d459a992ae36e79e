"""Several processes do every job once, whether they live or are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
ROOT = Path(__file__).parents[3]


def ran(address: str, jobs: int, workers: int, kills: int) -> dict[str, int]:
    command = [sys.executable, "-m", "tests.serve.jobs.made_workers", address, *map(str, (jobs, workers, kills))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return told


def results(records: Engine) -> tuple[Counter[str], list[tuple[str, str, int]]]:
    with reading(records) as connection:
        jobs = schema.jobs.c
        rows = connection.execute(select(jobs.id, jobs.state, jobs.attempts)).all()
        return Counter(connection.scalars(select(schema.alerts.c.message))), [tuple(row) for row in rows]


def test_four_workers_claim_each_of_300_jobs_once(records: Engine, records_address: str) -> None:
    assert ran(records_address, jobs=300, workers=4, kills=0) == {"killed": 0, "left": 0}
    made, jobs = results(records)
    assert len(jobs) == 300
    assert {(state, attempts) for _, state, attempts in jobs} == {("done", 1)}
    assert made == Counter(name for name, _, _ in jobs)


def test_twenty_killed_workers_lose_nothing_and_double_nothing(records: Engine, records_address: str) -> None:
    assert ran(records_address, jobs=150, workers=3, kills=20) == {"killed": 20, "left": 0}
    made, jobs = results(records)
    assert {state for _, state, _ in jobs} == {"done"}
    assert made == Counter(name for name, _, _ in jobs)
    assert len(made) == 150
    assert max(attempts for _, _, attempts in jobs) > 1  # some were killed at work
