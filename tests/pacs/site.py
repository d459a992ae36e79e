"""Insula in a hospital of its own: the service, the node as another process, and what scanners do to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import select
from tests.client.live import Live, live
from tests.serve.api.made import KEY

from insula.bundle.types import Bundle
from insula.serve.store import schema
from insula.serve.store.connect import reading

T = TypeVar("T")
PROJECT = "Inside"
SCANNER = "SCANNER"
PATIENCE = 120.0  # seconds until a test says that what it waits for does not come


@dataclass(frozen=True, eq=False)
class Hospital:
    """The service with its worker, and the node beside it, over the same records. port: of the node."""

    folder: Path
    live: Live
    port: int

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table, in the order in which they came."""
        with reading(self.live.made.service.records) as connection:
            return list(connection.execute(select(table).order_by(table.c.seq)))

    def trouble(self) -> str:
        """What the node's log says in the end."""
        return (self.folder / "node.log").read_text()[-3000:]


@contextmanager
def hospital(folder: Path, bundle: Bundle, port: int, rules: str, **told: str) -> Iterator[Hospital]:
    """A service that predicts, and a node that does not. told: settings by the end of their names, QUIET_SECONDS."""
    (folder / "rules.yaml").write_text(rules)
    settings = {
        "ALLOW": SCANNER,
        "PORT": str(port),
        "RULES": str(folder / "rules.yaml"),
        "QUIET_SECONDS": "1",
        "LEAST_FREE_MB": "0",
        **told,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"INSULA_PACS_{name}", value)
        with live(folder, bundle) as service, _node(folder):
            yield Hospital(folder, service, port)


@contextmanager
def _node(folder: Path) -> Iterator[None]:
    """`insula pacs listen`, from when it listens until the block ends."""
    records = {
        "INSULA_DATABASE": f"sqlite:///{folder}/insula.db",
        "INSULA_FILES": str(folder / "files"),
        "INSULA_TRAIL_KEY": KEY,
    }
    command = [sys.executable, "-m", "insula", "pacs", "listen", "--json", "--json-logs"]
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **records}, stdout=subprocess.PIPE, stderr=log, text=True
        )
        with process:
            assert process.stdout is not None
            try:
                first = process.stdout.readline()
                assert first, (folder / "node.log").read_text()[-2000:]
                assert json.loads(first)["listening"]["ae_title"] == "INSULA"
                yield
            finally:
                process.terminate()
    assert process.returncode == 0, (folder / "node.log").read_text()[-2000:]


def storescu(port: int, called: str, files: Sequence[Path], calling: str = SCANNER) -> None:
    """Send files as a scanner does, by dcmtk; every one has to be taken."""
    command = ["storescu", "-aet", calling, "-aec", called, "127.0.0.1", str(port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def until(found: Callable[[], T], what: str, site: Hospital) -> T:
    """The first answer that is something."""
    end = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < end, f"waited for {what}: {site.trouble()}"
        time.sleep(0.1)
    return answer


def sent(site: Hospital, study_uid: str, more_than: int = 0) -> Any:
    """The newest delivery of answers to a study that came in, once there are more than so many."""

    def look() -> Any:
        came = {row.study_uid: row.study_id for row in site.rows(schema.pacs_studies)}
        answers = {row.id for row in site.rows(schema.predictions) if row.study_id == came.get(study_uid)}
        found = [row for row in site.rows(schema.pacs_deliveries) if row.prediction_id in answers]
        return found[-1] if len(found) > more_than else None

    return until(look, "the answer at the archive", site)
