"""The node: one process that takes objects in, notices whole studies, and works on everything that goes to a PACS.

What plugs into it has one of three shapes. A handler of jobs: `KIND` and `handler(service, settings) -> Handler`. A
thread that runs beside: `watch(service, settings, stop) -> None`, which returns soon after `stop` is set. The listener:
`scp.serve(service, settings)`, a context manager that gives the port and takes no new association once it is left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from time import monotonic
from typing import Final

from insula.core.errors import MissingPartError, UsageError
from insula.core.log import get
from insula.serve import work as predicting
from insula.serve.jobs.worker import Handler, work
from insula.serve.pacs import advice
from insula.serve.pacs.rules import check_rules, read_rules
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.settings import Settings
from insula.serve.store.connect import reading

Beside = Callable[[Service, PacsSettings, threading.Event], None]
_LONGEST_STOP: Final = 60.0  # seconds that the threads get to end what they do
_AGAIN: Final = 5.0  # seconds until a thread that met an error begins anew


@dataclass(frozen=True)
class Lane:
    """Jobs that are worked on in threads of their own, so that slow ones of another kind hold them up in nothing."""

    name: str
    threads: int
    handlers: Mapping[str, Handler]


def lanes(service: Service, settings: PacsSettings) -> tuple[Lane, ...]:
    """What the node does for each kind of job; several peers are sent to at a time, so that one holds up no other."""
    from insula.serve.pacs import commitment, pull, send, take

    return (
        Lane("take", 1, {take.KIND: take.handler(service, settings)}),
        Lane("pull", 1, {pull.KIND: pull.handler(service, settings)}),
        Lane("send", 3, {send.KIND: send.handler(service, settings)}),
        Lane("commit", 1, {commitment.KIND: commitment.handler(service, settings)}),
    )


def beside(settings: PacsSettings) -> dict[str, Beside]:
    """The threads that run beside the listener, by their names."""
    from insula.serve.pacs import orthanc_watch, performer, retain, whole

    found: dict[str, Beside] = {"whole": whole.watch, "retain": retain.watch}
    if settings.orthanc:
        found["orthanc"] = orthanc_watch.watch
    if settings.workitems:
        found["workitems"] = performer.watch
    return found


def ready(settings: PacsSettings, records: Settings) -> None:
    """Refuse settings that cannot be before anything is opened. Raises UsageError, MissingPartError."""
    from insula.serve.pacs.pseudonymise import pseudonyms_of

    if any(find_spec(part) is None for part in ("pynetdicom", "highdicom")):
        raise MissingPartError("The PACS node needs parts that are not installed; run: pip install 'insula[pacs]'.")
    if not records.database:
        raise UsageError("No records are named; set INSULA_DATABASE, INSULA_FILES and INSULA_TRAIL_KEY as the service.")
    check_rules(pseudonyms_of(settings).rules, settings)


@contextmanager
def running(service: Service, settings: PacsSettings, predict: int = 0) -> Iterator[int]:
    """The node, for as long as the block runs; gives the port that it listens on.

    predict: so many threads of this process predict as well. At the end nothing new is taken, associations and jobs at
    work are finished or given back, and the records are as if the process had been killed, at most tidier.
    """
    from insula.serve.pacs import scp

    _tell(service, settings)
    stop = threading.Event()
    with ExitStack() as stack:
        threads = _threads(service, settings, stop)
        for thread in threads:
            thread.start()
        stack.callback(_end, threads, stop)
        if predict:
            stack.enter_context(predicting.at_work(service, predict))
        stack.callback(stop.set)  # all of them at once, before the first is waited for
        yield stack.enter_context(scp.serve(service, settings))


def _tell(service: Service, settings: PacsSettings) -> None:
    """Say in the log what of the settings and the rules may not be what was meant."""
    rules = read_rules(settings.rules)
    with reading(service.records) as connection:
        missing = advice.of_records(rules, connection)
    doubts = (*advice.of_settings(settings, os.environ, service.files.free()), *advice.of_rules(rules, settings))
    for said in (*doubts, *missing):
        get("pacs").warning("look at the settings", why=said)
    for said in advice.notes(rules):
        get("pacs").info("of the rules", note=said)


def _threads(service: Service, settings: PacsSettings, stop: threading.Event) -> list[threading.Thread]:
    made = [
        threading.Thread(
            target=work,
            args=(service.records, lane.handlers, predicting.worker_name(), stop),
            name=f"pacs-{lane.name}-{number}",
            daemon=True,
        )
        for lane in lanes(service, settings)
        for number in range(lane.threads)
    ]
    return made + [
        threading.Thread(target=kept_going, args=(name, run, service, settings, stop), name=f"pacs-{name}", daemon=True)
        for name, run in beside(settings).items()
    ]


def kept_going(name: str, run: Beside, service: Service, settings: PacsSettings, stop: threading.Event) -> None:
    """Run a thread's work until told to stop; after an error, which the log gets without its text, it begins anew."""
    while not stop.is_set():
        try:
            run(service, settings, stop)
        except Exception as error:  # noqa: BLE001 - whatever one of them meets, the node goes on
            get("pacs").error("part of the node failed", part=name, error=type(error).__name__)
            stop.wait(_AGAIN)


def _end(threads: list[threading.Thread], stop: threading.Event) -> None:
    stop.set()
    until = monotonic() + _LONGEST_STOP
    for thread in threads:
        thread.join(timeout=max(0.0, until - monotonic()))
