"""`insula serve` with records on a disk of a few megabytes of its own, which a test fills to the last block or name."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.serve.api.made import KEY, people

from insula.bundle.types import Bundle
from insula.serve.people import keys
from insula.serve.store.connect import connect, writing
from insula.serve.store.migrate import upgrade

MEGABYTES, NAMES = 24, 4000
_MOUNT = 'mount -t tmpfs -o "$1" none "$2" && cp -a "$3/." "$2/" && shift 3 && exec "$@"'


@dataclass(frozen=True, eq=False)
class Small:
    """A service whose records lie on a small disk. inside: that disk, as this process reaches it."""

    process: subprocess.Popen[str]
    address: str
    key: str
    project: str
    home: Path
    env: dict[str, str]
    log: Path

    @property
    def inside(self) -> Path:
        """The disk as seen from here: in the mount namespace of the service."""
        return Path(f"/proc/{self.process.pid}/root{self.home}")

    def client(self) -> httpx.Client:
        """A reviewer's client."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.address, headers=headers, timeout=120, trust_env=False)

    def fill_blocks(self) -> None:
        """Take every block that is left."""
        with (self.inside / "filler").open("wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass

    def fill_names(self) -> None:
        """Take every name (inode) that is left."""
        place = self.inside / "fillers"
        with contextlib.suppress(OSError):
            place.mkdir(exist_ok=True)
            for number in range(NAMES):
                (place / str(number)).touch()

    def make_room(self) -> None:
        """Give back what was taken."""
        (self.inside / "filler").unlink(missing_ok=True)
        shutil.rmtree(self.inside / "fillers", ignore_errors=True)

    def verb(self, *words: str) -> Any:
        """What a verb says beside the running service, as JSON; its exit code has to be 0."""
        into = ["nsenter", "--target", str(self.process.pid), "--mount", f"--wd={self.home}"]
        command = [*into, sys.executable, "-m", "insula", *words, "--json"]
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


@contextmanager
def small_disk(folder: Path, bundle: Bundle) -> Iterator[Small]:
    """Such a service as long as the block runs; skips the test where nothing may be mounted."""
    home, start = folder / "disk", folder / "start"
    home.mkdir()
    start.mkdir()
    (start / "tmp").mkdir()
    if os.geteuid() or subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", home], check=False).returncode:
        pytest.skip("this process may not mount a small disk of its own (a namespace with root in it)")
    engine = connect(f"sqlite:///{start}/insula.db")
    upgrade(engine)
    ids, project, _ = people(engine)
    at = datetime.now(UTC)
    with writing(engine) as connection:
        scopes = keys.scopes_for("reviewer")
        key = keys.create(connection, ids["reviewer"], "r", scopes, at + timedelta(days=9), at).shown
    engine.dispose()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("INSULA_")}
    env = plain | {
        "INSULA_DATABASE": f"sqlite:///{home}/insula.db",
        "INSULA_FILES": str(home / "files"),
        "INSULA_TRAIL_KEY": KEY,
        "INSULA_TRAIL_HEADS": str(home / "heads.jsonl"),
        "TMPDIR": str(home / "tmp"),
        "OMP_NUM_THREADS": "1",
    }
    serve = [sys.executable, "-m", "insula", "serve", str(bundle.path), "--port", "0", "--threads", "1", "--json-logs"]
    options = f"size={MEGABYTES}m,nr_inodes={NAMES}"
    command = ["unshare", "-m", "sh", "-c", _MOUNT, "sh", options, str(home), str(start), *serve]
    log = folder / "serve.log"
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=stream, text=True, cwd=folder)
    with process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert "http://" in said, log.read_text()[-3000:]
            address = "http://" + said.partition("http://")[2].split()[0].rstrip(".,")
            yield Small(process, address, key, project, home, env, log)
        finally:
            process.kill()
