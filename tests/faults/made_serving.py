"""`insula serve` as a process of its own, with or without records, and what the system says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.serve.api.made import KEY, people

from insula.bundle.types import Bundle
from insula.serve.people import keys
from insula.serve.people.roles import ROLES
from insula.serve.store.connect import connect, writing
from insula.serve.store.migrate import upgrade

PATIENCE = 120.0  # seconds after which something hangs


@dataclass(frozen=True)
class State:
    """What a process holds. resident: bytes; files: open descriptors; processes: its children."""

    resident: int
    threads: int
    files: int
    processes: int


@dataclass(frozen=True, eq=False)
class Serving:
    """A service that listens on this machine. keys: by role; project: in which everybody is; "" without records."""

    process: subprocess.Popen[str]
    port: int
    folder: Path
    keys: dict[str, str]
    project: str

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def bearer(self, role: str = "reviewer") -> tuple[tuple[str, str], ...]:
        """The header that shows a role's key; none where nobody logs in."""
        return (("Authorization", f"Bearer {self.keys[role]}"),) if self.keys else ()

    def state(self) -> State:
        """What it holds now."""
        return state_of(self.process.pid)

    def log(self) -> str:
        """All that it wrote to its log."""
        return (self.folder / "serve.log").read_text(encoding="utf-8", errors="replace")


@contextmanager
def serving(
    folder: Path, bundle: Bundle | Path, records: bool = False, threads: int = 1, **told: str
) -> Iterator[Serving]:
    """`insula serve` as long as the block runs; it has to end well. told: settings by the end of their names.

    threads: CPU threads of one prediction, 0 for the runtime's choice and that of the libraries.
    """
    path = bundle if isinstance(bundle, Path) else bundle.path
    shown: dict[str, str] = {}
    project, settings = "", {"QUEUE": "32", **told}
    if records:
        address = f"sqlite:///{folder}/insula.db"
        shown, project = _people(address)
        kept = {"DATABASE": address, "FILES": str(folder / "files"), "TRAIL_KEY": KEY}
        settings = {**kept, "TRAIL_HEADS": str(folder / "heads.jsonl"), **settings}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
    given = {f"INSULA_{name}": value for name, value in settings.items()}
    given |= {"OMP_NUM_THREADS": "1"} if threads else {}
    command = [sys.executable, "-m", "insula", "serve", str(path), "--port", "0", "--json-logs"]
    command += ["--threads", str(threads)]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(command, env={**plain, **given}, stdout=subprocess.PIPE, stderr=log, text=True)
    with process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert "http://127.0.0.1:" in line, (folder / "serve.log").read_text()[-2000:]
            port = int(line.split("http://127.0.0.1:")[1].split()[0])
            yield Serving(process, port, folder, shown, project)
            assert process.poll() is None, f"the service ended with {process.returncode}"
            process.terminate()
            process.wait(PATIENCE)
        finally:
            process.kill()
    assert process.returncode in (0, -15), (folder / "serve.log").read_text()[-2000:]


def state_of(pid: int) -> State:
    """What a process holds now, as the system tells it."""
    place = Path("/proc", str(pid))
    lines = dict(line.split(":", 1) for line in (place / "status").read_text().splitlines())
    children = [found for task in (place / "task").iterdir() for found in _text(task / "children").split()]
    return State(
        int(lines["VmRSS"].split()[0]) << 10, int(lines["Threads"]), len(os.listdir(place / "fd")), len(children)
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the thread has ended meanwhile
        return ""


def _people(address: str) -> tuple[dict[str, str], str]:
    engine, at = connect(address), datetime.now(UTC)
    upgrade(engine)
    ids, inside, _ = people(engine)
    with writing(engine) as connection:
        made: dict[str, str] = {
            role: keys.create(connection, ids[role], role, keys.scopes_for(role), at + timedelta(days=1), at).shown
            for role in ROLES
        }
    engine.dispose()
    return made, inside
