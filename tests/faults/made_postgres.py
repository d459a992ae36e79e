"""A PostgreSQL server that a test kills, halts and starts again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from tests.postgresql import before, other_user, programs, server

from insula.serve.store.connect import connect


@dataclass(frozen=True)
class Postgres:
    """A server. address: of its database; data: its folder."""

    address: str
    data: Path

    def kill(self) -> None:
        """End it and all its children without warning."""
        killed = self._processes()
        for process in killed:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while any(_runs(process) for process in killed):
            time.sleep(0.005)
        # where nobody buries the dead server, the next one would think that it lives
        for left in (self.data / "postmaster.pid", *self.data.parent.glob(".s.PGSQL.*.lock")):
            left.unlink()

    def start(self) -> None:
        """Start it again with the options that it had; it answers when this returns."""
        place = programs()
        assert place is not None
        words = (self.data / "postmaster.opts").read_text().split('" "')
        options = "-p " + " ".join(word.strip('" \n') for word in words).partition("-p ")[2]
        command = [
            *before(),
            str(place / "pg_ctl"),
            "-D",
            str(self.data),
            "-o",
            options,
            "-l",
            f"{self.data.parent}/log",
            "-w",
        ]
        subprocess.run([*command, "start"], check=True, user=other_user(), cwd=self.data.parent, capture_output=True)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """Let it stand still: it neither answers nor goes away."""
        stopped = self._processes()
        for process in stopped:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """The server, and after it its children."""
        first = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]


def _runs(process: int) -> bool:
    """Whether a process is there and no corpse that waits for its parent."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Such a server as long as the block runs; skips the test where there are no programs."""
    with server() as address:
        engine = connect(address)
        with engine.connect() as connection:
            data = Path(str(connection.scalar(text("SHOW data_directory"))))
        engine.dispose()
        yield Postgres(address, data)
