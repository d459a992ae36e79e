"""A PostgreSQL server of Debian's packages on a loopback port, for as long as tests need it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

SECRET = "tulip-7731"


def programs() -> Path | None:
    """Where PostgreSQL's own programs lie."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in reversed(places) if (place / "initdb").is_file()), None)


def other_user() -> str | None:
    """PostgreSQL does not run as root; None where this process is not root, or a root that knows of nobody else."""
    if os.geteuid() != 0 or in_namespace():
        return None
    return next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})


def in_namespace() -> bool:
    """Whether this process is the root of a user namespace with one user, as scripts/own-network makes it."""
    maps = Path("/proc/self/uid_map")
    return os.geteuid() == 0 and maps.exists() and maps.read_text().split()[2:] == ["1"]


def before() -> list[str]:
    """Words before each of PostgreSQL's programs: such a root becomes somebody else in a namespace within."""
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if in_namespace() else []


@contextmanager
def server() -> Iterator[str]:
    """The address of an empty database that asks for a password; skips the test where there are no programs."""
    place = programs()
    if place is None:
        pytest.skip("PostgreSQL's programs are not installed (/usr/lib/postgresql/*/bin)")
    if find_spec("psycopg") is None:
        pytest.skip("the package psycopg is not installed")
    home = Path(tempfile.mkdtemp(prefix="insula-pg-"))
    user = other_user()
    if user:
        shutil.chown(home, user)
    (home / "password").write_text(SECRET)
    (home / "password").chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def call(*command: str) -> None:
        subprocess.run(
            [*before(), str(place / command[0]), *command[1:]], check=True, user=user, cwd=home, capture_output=True
        )

    make = ("-D", f"{home}/data", "-U", "alice", "--auth=scram-sha-256", f"--pwfile={home}/password", "-E", "UTF8")
    call("initdb", *make, "--locale=C", "--no-sync")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
    call("pg_ctl", "-D", f"{home}/data", "-o", options, "-l", f"{home}/log", "-w", "start")
    try:
        yield f"postgresql://alice:{SECRET}@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", f"{home}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(home)
