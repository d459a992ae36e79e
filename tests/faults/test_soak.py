"""An hour of everything at once: nothing acknowledged is lost, nothing grows, and /health is told all the time."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.faults.made_clients import Line, form, watched
from tests.faults.made_scans import slices, written
from tests.faults.made_serving import PATIENCE, Serving, State, serving, state_of
from tests.faults.made_soak import Traffic, flat, warm
from tests.faults.tally import Tally
from tests.pacs.orthanc import free_port
from tests.serve.api.made import KEY
from tests.tiny_bundle import make

from insula.serve.pacs.outcome import ready
from insula.serve.pacs.push import push
from insula.serve.pacs.settings import PacsSettings
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading
from insula.serve.trail.verify import verify

pytestmark = pytest.mark.serve
SCANS, CLIENTS = 8, 4
LATE = 20.0  # seconds after which /health counts as hanging, on a machine that is busy with other things too
FIRST = 100_000  # number of the first scan that a scanner sends


def answers(site: Serving) -> dict[int, dict[str, float]]:
    """The right answer of each scan, asked for while nobody else is there."""

    async def ask(number: int) -> dict[str, float]:
        line, (body, kind) = Line(site.port), form(slices(number))
        said = await line.ask("POST", "/predict", body, (*kind, *site.bearer()))
        line.close()
        found: dict[str, float] = said.json()["probabilities"]
        return found

    return {number: asyncio.run(ask(number)) for number in range(SCANS)}


@contextmanager
def sampled(pids: dict[str, int], every: float) -> Iterator[dict[str, list[State]]]:
    """What processes hold, again and again as long as the block runs."""
    found: dict[str, list[State]] = {name: [] for name in pids}
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(every):
            for name, pid in pids.items():
                found[name].append(state_of(pid))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@contextmanager
def node(folder: Path, model: str) -> Iterator[tuple[int, int]]:
    """`insula pacs listen` over the same records; its process and its port."""
    rules = {"rules": [{"name": "all", "project": "Inside", "model": model, "uncertainty": False}]}
    (folder / "rules.yaml").write_text(json.dumps(rules))
    port = free_port()
    told = {
        "DATABASE": f"sqlite:///{folder}/insula.db",
        "FILES": str(folder / "files"),
        "TRAIL_KEY": KEY,
        "PACS_ALLOW": "SCANNER",
        "PACS_PORT": str(port),
        "PACS_RULES": str(folder / "rules.yaml"),
        "PACS_QUIET_SECONDS": "2",
        "PACS_LEAST_FREE_MB": "0",
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "insula", "pacs", "listen", "--json", "--json-logs"],
            env={**plain, **{f"INSULA_{name}": value for name, value in told.items()}, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    with process:
        assert process.stdout is not None
        try:
            assert "listening" in process.stdout.readline(), (folder / "node.log").read_text()[-2000:]
            yield process.pid, port
            process.terminate()
            process.wait(PATIENCE)
        finally:
            process.kill()


@contextmanager
def scanner(folder: Path, port: int, pause: float) -> Iterator[list[int]]:
    """A scanner that sends a study now and then as long as the block runs; the numbers of those that were taken."""
    settings = PacsSettings(peers=f"node=dicom://INSULA@127.0.0.1:{port}", ae_title="SCANNER")
    taken: list[int] = []
    failed: list[str] = []
    stop = threading.Event()
    (folder / "scanner").mkdir()

    def send() -> None:
        number = FIRST
        while not stop.wait(pause):
            files = written(folder / "scanner", number)
            try:
                told = push(settings, settings.peer["node"], [ready(path) for path in files])
                if all(one.taken for one in told):
                    taken.append(number)
            except Exception as error:  # noqa: BLE001 - told below
                failed.append(f"{type(error).__name__}: {error}")
            for path in files:
                path.unlink()
            number += 1

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join(PATIENCE)
    assert not failed, failed[:3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pynetdicom")
@pytest.mark.faults  # in short the same is tried by test_load and test_own_answers
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seconds", [3600])
def test_a_day_of_work_loses_nothing_and_grows_nothing(tally: Tally, tmp_path: Path, seconds: int) -> None:
    bundle = make(tmp_path, unit="series")
    (tmp_path / "tmp").mkdir()
    with serving(tmp_path, bundle, True, JOBS="2") as site:
        traffic = Traffic(site, answers(site))
        warm(site)
        pids = {"service": site.process.pid}
        with node(tmp_path, bundle.recipe.name) as (pid, port):
            pids["node"] = pid
            with (
                scanner(tmp_path, port, 5.0) as taken,
                sampled(pids, seconds / 60) as states,
                watched(site.port, 0.25) as seen,
            ):
                until = time.monotonic() + seconds
                asyncio.run(traffic.flow(until, CLIENTS, 1.0))
            site_log(tally, traffic, states, seen.seconds)
            lost = lost_of(tmp_path, traffic, len(taken))
    figures, grown = flat(states["service"], seconds)
    of_node, more = flat(states["node"], seconds)
    assert not traffic.errors, traffic.errors[:5]
    tally.tried(
        "requests of all kinds in turn, while scanners send",
        sum(traffic.asked.values()),
        lost=lost,
        failed=traffic.wrong,
        leaked=len(grown) + len(more),
        crashed=seen.late(LATE) + len(seen.wrong),
        figures={
            "seconds": float(seconds),
            "studies of scanners": float(len(taken)),
            **{name: float(count) for name, count in traffic.asked.items()},
            "sent away": float(traffic.sent_away),
            "health over 1 s": float(seen.late(1.0)),
            **seen.figures(),
            **figures,
            **{f"node: {name}": value for name, value in of_node.items() if name.startswith("memory")},
            "grown": "; ".join([*grown, *more]) or "nothing",
        },
    )


def site_log(tally: Tally, traffic: Traffic, states: dict[str, list[State]], health: list[float]) -> None:
    """What was seen, one line each."""
    lines = [json.dumps({"process": name, **vars(one)}) for name, found in states.items() for one in found]
    lines += [json.dumps({"error": one}) for one in traffic.errors]
    lines += [json.dumps({"health over 1 s": one}) for one in health if one > 1.0]
    tally.log("soak.jsonl").write_text("\n".join([*lines, json.dumps(traffic.asked)]) + "\n")


def lost_of(folder: Path, traffic: Traffic, taken: int) -> int:
    """What was acknowledged and is not in the records; waits until what came by the network is predicted."""
    engine, end = connect(f"sqlite:///{folder}/insula.db"), time.monotonic() + PATIENCE
    wanted = len(traffic.studies) + taken
    while True:
        with reading(engine) as connection:
            made = select(schema.predictions.c.study_id, schema.predictions.c.id)
            predicted: dict[str, str] = dict(map(tuple, connection.execute(made)))
            reviews = set(connection.scalars(select(schema.reviews.c.id)))
        if len(predicted) >= wanted or time.monotonic() > end:
            break
        time.sleep(0.2)
    assert verify(engine, KEY.encode(), str(folder / "heads.jsonl")).holds
    engine.dispose()
    lost = sum(predicted.get(study) != made for study, made in traffic.studies.items())
    return lost + len(set(traffic.reviews) - reviews) + max(0, wanted - len(predicted))
