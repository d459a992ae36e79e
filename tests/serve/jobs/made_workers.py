"""Workers as processes, and what may befall them: `python -m tests.serve.jobs.made_workers DATABASE …`.

The processes are forked from one that has everything loaded and no thread, so that twenty of them start quickly.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from datetime import timedelta

from sqlalchemy import Connection, func, insert, select

from insula.serve.jobs import queue
from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled, Pace, Progress, Write, work
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing

KIND = "made"


def put(address: str, count: int, most_attempts: int) -> None:
    engine = connect(address)
    with writing(engine) as connection:
        for number in range(count):
            wanted = queue.Wanted(KIND, {"number": number}, most_attempts=most_attempts)
            queue.put(connection, wanted, schema.now() - timedelta(seconds=1))
    engine.dispose()


def handle(job: Job, report: Progress, cancelled: Cancelled) -> Write:
    """Some work, and a row as its result (alerts take any number of rows of one message)."""
    report(0.5, "working")
    time.sleep(random.uniform(0.0, 0.02))

    def write(connection: Connection) -> dict[str, int]:
        number = job.payload["number"]
        values = {"kind": KIND, "message": job.id, "bundle_id": f"{os.getpid()}-{job.attempts}-{number}"}
        connection.execute(insert(schema.alerts).values(values))
        time.sleep(random.uniform(0.0, 0.01))  # to be killed in the middle of a transaction, too
        return {"number": number}

    return write


def forked(address: str, pace: Pace) -> int:
    pid = os.fork()
    if pid:
        return pid
    random.seed()
    code = 1
    try:
        work(connect(address), {KIND: handle}, f"made-{os.getpid()}", threading.Event(), pace, until_idle=True)
        code = 0
    finally:
        os._exit(code)


def left(address: str) -> int:
    engine = connect(address)
    with reading(engine) as connection:
        ended = schema.jobs.c.state.in_(queue.ENDED)
        count = connection.execute(select(func.count()).select_from(schema.jobs).where(~ended)).scalar_one()
    engine.dispose()
    return int(count)


def main(address: str, jobs: int, workers: int, kills: int) -> None:
    """Let workers do all jobs while some of them are killed; writes how many were, and how many jobs are left."""
    put(address, jobs, 100 if kills else 1)
    pace = Pace(lease=1.0, beat=0.2, idle=0.02, most_idle=0.1) if kills else Pace()
    alive = {forked(address, pace) for _ in range(workers)}
    killed = 0
    while killed < kills:
        time.sleep(random.uniform(0.0, 0.15))
        os.kill(random.choice(sorted(alive)), signal.SIGKILL)
        pid, status = os.wait()
        killed += os.WIFSIGNALED(status)
        alive = (alive - {pid}) | {forked(address, pace)}
    while alive:
        pid, _ = os.wait()
        alive -= {pid}
        if kills and not alive and left(address):  # jobs of killed workers, whose leases have to run out
            time.sleep(pace.most_idle)
            alive = {forked(address, pace)}
    sys.stdout.write(json.dumps({"killed": killed, "left": left(address)}))


if __name__ == "__main__":
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
