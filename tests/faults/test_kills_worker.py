"""Workers of the service's jobs killed, ended and stopped at random moments: each job is done, and once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import statistics
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from tests.faults.made_killed_load import faults, held_against, load
from tests.faults.made_killed_site import descendants, orphans, site
from tests.faults.made_short_leases import LEASE
from tests.faults.made_zygote import SERVING, zygote
from tests.faults.tally import Tally

from insula.serve.store import schema

MODULES = (*SERVING, "tests.faults.made_short_leases")
WAYS = ("kill", "kill", "kill", "term", "stop")
WORKERS = 2


@pytest.mark.faults
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("ends", [75])
def test_workers_that_are_killed_ended_or_stopped(tmp_path: Path, tally: Tally, ends: int) -> None:
    """Ends and stops, three in five of them kills. A stopped worker goes on when its jobs are another's already."""
    draw = random.Random(21)
    badly = left_alive = at_work = 0
    waits: list[float] = []
    lines: list[str] = []
    with zygote(*MODULES) as source, site(tmp_path / "site", source, INSULA_JOBS="0") as here:
        server = here.serve()
        here.up(server)
        workers = [here.worker(f"worker-{k}") for k in range(WORKERS)]
        with load(here, 100_000, plain=False) as ledger:
            for number in range(ends):
                way, k = WAYS[number % len(WAYS)], draw.randrange(WORKERS)
                here.until(partial(ledger.more, ledger.answers), "an answer")
                time.sleep(draw.uniform(0.0, 0.6))
                here.spared()
                one = workers[k]
                running = here.count(schema.jobs, schema.jobs.c.state == "running")
                at_work += bool(running)
                begun = time.monotonic()
                if way == "stop":
                    os.kill(one.pid, signal.SIGSTOP)
                    time.sleep(1.2 * LEASE if number % 2 else 0.5)
                    os.kill(one.pid, signal.SIGCONT)
                else:
                    children = descendants(one.pid)
                    code = one.kill(signal.SIGTERM if way == "term" else signal.SIGKILL)
                    badly += code != (-signal.SIGKILL if way == "kill" else 0)
                    left = orphans(children)
                    left_alive += bool(left)
                    workers[k] = here.worker(f"worker-{k}")
                    lines.append(f"{way} of worker {k}: exit {code}, {running} jobs under way, {len(left)} orphans")
                here.until(partial(ledger.more, ledger.answers), "an answer")
                waits.append(time.monotonic() - begun)
        badly += sum(one.kill(signal.SIGTERM) != 0 for one in [*workers, server])
        found, temporary = held_against(here, ledger), here.left()
        logs = [here.folder / "server.log", *(here.folder / f"worker-{k}.log" for k in range(WORKERS))]
        said = [line for path in logs for line in faults(path.read_text())]
        attempts = Counter(row.attempts for row in here.rows(schema.jobs))
    tally.log("worker.txt").write_text("\n".join([*lines, *said, *found.wrong, *temporary]) + "\n")
    for path in logs:
        shutil.copyfile(path, tally.log(path.name))
    tally.tried(
        "one of two job workers killed (-9), ended (SIGTERM) or stopped and let go on, while they predict",
        ends,
        lost=found.lost,
        doubled=found.doubled,
        leaked=left_alive + bool(temporary),
        crashed=badly + len(said),
        failed=len(found.wrong),
        figures={
            "kills": sum(WAYS[n % len(WAYS)] == "kill" for n in range(ends)),
            "jobs": sum(attempts.values()),
            "ends with a job under way": at_work,
            "jobs done more than once": sum(count for tries, count in attempts.items() if tries > 1),
            "until the next answer, median s": statistics.median(waits),
            "longest s": max(waits),
        },
    )
    assert len(ledger.studies) == len(ledger.predictions) > 0
