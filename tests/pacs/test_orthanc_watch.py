"""A real Orthanc watched: a study that becomes stable comes in once, also after the node was away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from tests.pacs.orthanc import Orthanc
from tests.pacs.test_query import new_uid, study
from tests.serve.api.made import service

from insula.serve.pacs.orthanc_watch import watch
from insula.serve.pacs.push import push
from insula.serve.pacs.settings import PacsSettings
from insula.serve.service import Service
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.pacs


@contextmanager
def watching(made: Service, settings: PacsSettings) -> Iterator[None]:
    """The watch, for as long as the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=watch, args=(made, settings, stop, 0.1))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_study_that_becomes_stable_comes_once(orthanc: Orthanc, tmp_path: Path) -> None:
    settings = PacsSettings(peers=f"orthanc={orthanc.web}", orthanc="orthanc")
    peer = settings.peer["orthanc"]
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        records = made.service.records

        def received() -> set[str]:
            with reading(records) as connection:
                return set(connection.execute(select(schema.pacs_instances.c.sop_instance_uid)).scalars())

        def known() -> bool:
            with reading(records) as connection:
                return connection.execute(select(schema.pacs_watched.c.last)).first() is not None

        with watching(made.service, settings):
            until(known)
            first = study(tmp_path / "first", new_uid())
            push(settings, peer, first)
            until(lambda: len(received()) == 4)
        second = study(tmp_path / "second", new_uid())
        push(settings, peer, second)  # while the node is away
        gone = study(tmp_path / "gone", new_uid(), 1, PatientID="P-gone")
        push(settings, peer, gone)
        stable = "StableStudy"
        until(lambda: sum(one["ChangeType"] == stable for one in orthanc.get("/changes?limit=1000")["Changes"]) >= 3)
        for one in orthanc.get("/patients?expand"):
            if one["MainDicomTags"]["PatientID"] == "P-gone":
                httpx.delete(f"{orthanc.http}/patients/{one['ID']}", timeout=30).raise_for_status()
        with watching(made.service, settings):
            until(lambda: len(received()) == 8)
        assert received() == {one.sop_instance_uid for one in (*first, *second)}
