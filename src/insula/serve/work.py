"""Working on jobs: in the service's own process, or in workers of their own (`insula worker`)."""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from insula.core.errors import BundleError
from insula.serve.chores import keep_going
from insula.serve.faults import RequestError
from insula.serve.jobs import export_cohort, predict_study, send_alert
from insula.serve.jobs.worker import Handler, work
from insula.serve.models import choose
from insula.serve.models.loaded import Loaded
from insula.serve.service import Service
from insula.serve.store.connect import reading


def handlers(service: Service) -> Mapping[str, Handler]:
    """What is done for each kind of job."""
    return {
        predict_study.KIND: predict_study.handler(service, loader(service)),
        export_cohort.KIND: export_cohort.handler(service),
        send_alert.KIND: send_alert.handler(service),
    }


def loader(service: Service) -> Callable[[str], Loaded]:
    """A model by its bundle's id: of the pool, or loaded from where the register says that it lies."""

    def load(bundle_id: str) -> Loaded:
        for one in service.pool.all():
            if one.bundle.id == bundle_id:
                return one
        with reading(service.records) as connection:
            path = Path(choose.get(connection, bundle_id).path)
        try:
            found = service.pool.add(path)
        except BundleError as error:
            raise RequestError(503, "not_loaded", f"The model cannot be loaded here: {error}") from error
        if found.bundle.id != bundle_id:
            service.pool.remove(found.bundle.id)
            raise RequestError(503, "not_loaded", f"Another model lies where '{bundle_id[:16]}' was registered.")
        return found

    return load


def worker_name() -> str:
    """A name that no other worker has."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(3)}"


@contextmanager
def at_work(service: Service, threads: int) -> Iterator[None]:
    """Work on jobs in so many threads, and do the chores, as long as the block runs; jobs at work are given back."""
    stop = threading.Event()
    done = handlers(service)
    names = [worker_name() for _ in range(threads)]
    running = [
        threading.Thread(target=work, args=(service.records, done, name, stop), name=f"jobs-{i}", daemon=True)
        for i, name in enumerate(names)
    ]
    for thread in running:
        thread.start()
    chores = keep_going(service, stop)
    try:
        yield
    finally:
        stop.set()
        for thread in (*running, chores):
            thread.join(timeout=60.0)
