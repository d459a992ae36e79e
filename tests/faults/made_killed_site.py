"""A site whose processes are killed: records with people, and where its processes put their temporary files."""

from __future__ import annotations

import contextlib
import io
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pydicom
from sqlalchemy import Engine, func, select
from tests.faults.made_zygote import PATIENCE, Command, Zygote
from tests.pacs.orthanc import free_port
from tests.serve.api.made import KEY, people
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.core import scratch
from insula.serve.people import keys
from insula.serve.store import schema
from insula.serve.store.connect import connect, reading, writing
from insula.serve.store.migrate import upgrade

MOST_ATTEMPTS = 3  # a job that was lost so often is let be; five losses may end it, as documented


@dataclass(frozen=True, eq=False)
class Site:
    """A folder with a bundle, records, and temporary files of their own; keys of a reviewer and an administrator."""

    folder: Path
    bundle: Bundle
    zygote: Zygote
    engine: Engine
    project: str
    reviewer: str
    admin: str
    port: int
    env: Mapping[str, str]

    @property
    def address(self) -> str:
        """Where the service listens."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, **env: str) -> Command:
        """Begin a service; it may not listen yet."""
        words = ["serve", str(self.bundle.path), "--json-logs"]
        return self.zygote.start(words, {**self.env, **env}, self.folder / "server.log")

    def worker(self, name: str) -> Command:
        """Begin a worker, which says so in its log when it works."""
        return self.zygote.start(["worker", "--json-logs"], self.env, self.folder / f"{name}.log")

    def up(self, server: Command) -> float:
        """Wait until a service answers; how many seconds that took."""
        begun = time.monotonic()
        while True:
            assert server.poll() is None, server.said()
            assert time.monotonic() - begun < PATIENCE, server.said()
            try:
                if httpx.get(f"{self.address}/health", timeout=PATIENCE).status_code == 200:
                    return time.monotonic() - begun
            except httpx.TransportError:
                time.sleep(0.01)

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table."""
        with reading(self.engine) as connection:
            return list(connection.execute(select(table).order_by(table.c.seq)))

    def count(self, table: Any, *where: Any) -> int:
        """How many rows of a table are so."""
        with reading(self.engine) as connection:
            return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())

    def spared(self) -> None:
        """Wait until no job is at work that was lost as often as a try may lose it."""
        jobs = schema.jobs.c
        self.until(lambda: not self.count(schema.jobs, jobs.state == "running", jobs.attempts >= MOST_ATTEMPTS), "jobs")

    def until(self, found: Callable[[], Any], what: str) -> Any:
        """The first answer that is something; an error where it does not come."""
        end = time.monotonic() + PATIENCE
        while not (answer := found()):
            assert time.monotonic() < end, f"waited for {what}"
            time.sleep(0.02)
        return answer

    def left(self, homes: Iterable[str] = ()) -> list[str]:
        """What processes have left among the temporary files. homes: of processes that are gone (`homes`)."""
        here = [path.name for path in (self.folder / "tmp").rglob("*")]
        return here + [path for path in homes if Path(path).exists()]


@contextmanager
def site(folder: Path, zygote: Zygote, **env: str) -> Iterator[Site]:
    """Make a site. env: settings of its processes, above those that it gives."""
    (folder / "tmp").mkdir(parents=True)
    (folder / "files").mkdir()
    bundle = make(folder, unit="series")
    address = f"sqlite:///{folder}/insula.db"
    engine = connect(address)
    upgrade(engine)
    ids, inside, _ = people(engine)
    at = datetime.now(UTC)
    with writing(engine) as connection:
        shown = [
            keys.create(connection, ids[role], role, keys.scopes_for(role), at + timedelta(days=2), at).shown
            for role in ("reviewer", "admin")
        ]
    port = free_port()
    given = {
        "INSULA_DATABASE": address,
        "INSULA_FILES": str(folder / "files"),
        "INSULA_TRAIL_KEY": KEY,
        "INSULA_TRAIL_HEADS": str(folder / "heads.jsonl"),
        "INSULA_PORT": str(port),
        "INSULA_THREADS": "1",
        "INSULA_WORKERS": "4",
        "TMPDIR": str(folder / "tmp"),
    }
    try:
        yield Site(folder, bundle, zygote, engine, inside, shown[0], shown[1], port, {**given, **env})
    finally:
        engine.dispose()


def slices(folder: Path, number: int, count: int = 2, size: int = 24) -> Path:
    """The series of a patient, unlike every other's. size: pixels of a side."""
    draw = random.Random(number)
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(1, count + 1):
        raw = dicom(number=k, seed=draw.randint(0, 1 << 30), series=f"1.2.9.{number + 1}.1", patient=f"K-{number}")
        if size != 24:
            file = pydicom.dcmread(io.BytesIO(raw))
            file.Rows = file.Columns = size
            file.PixelSpacing = [str(24 / size)] * 2
            file.PixelData = draw.randbytes(2 * size * size // 64) * 64
            stream = io.BytesIO()
            file.save_as(stream, enforce_file_format=True)
            raw = stream.getvalue()
        (folder / f"{k}.dcm").write_bytes(raw)
    return folder


def descendants(pid: int) -> set[int]:
    """All processes that a process has begun, and those that they have."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(facts[1]), []).append(int(path.parent.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        young = parents.get(waiting.pop(), [])
        found.update(young)
        waiting += young
    return found


def homes(pid: int) -> set[str]:
    """The folders for temporary files, on disk and in memory, that a process holds."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.add(str(path.readlink()))
    return {one for one in found if scratch.PREFIX in one and not one.endswith("(deleted)")}


def orphans(pids: set[int], seconds: float = 30.0) -> set[int]:
    """Those of the processes that do not end within some seconds."""
    end = time.monotonic() + seconds
    while (left := {pid for pid in pids if _lives(pid)}) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
