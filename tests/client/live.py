"""A service with records that listens on this machine, works on its jobs, and has a key for each role."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import uvicorn
from tests.serve.api.made import Made, service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.client import Client
from insula.serve.people import keys
from insula.serve.people.roles import Role
from insula.serve.run import socket_on
from insula.serve.store.connect import writing


@dataclass(eq=False)
class Live:
    """A service, and where it listens."""

    made: Made
    address: str
    _keys: dict[str, str] = field(default_factory=dict)

    def key(self, name: Role | Literal["stranger"]) -> str:
        """An API key with all that a role's key may have; the stranger is a reviewer."""
        if name not in self._keys:
            at, owner = datetime.now(UTC), self.made.ids[name]
            scopes = keys.scopes_for("reviewer" if name == "stranger" else name)
            with writing(self.made.service.records) as connection:
                made = keys.create(connection, owner, name, scopes, at + timedelta(days=1), at)
            self._keys[name] = made.shown
        return self._keys[name]

    def client(self, role: Role = "reviewer", **options: Any) -> Client:
        """A client with a key of a role."""
        return Client(self.address, self.key(role), **options)


@contextmanager
def live(folder: Path, bundle: Bundle | None = None, **settings: Any) -> Iterator[Live]:
    """A service on a free port of this machine, as long as the block runs; over a tiny bundle where none is given."""
    shown = bundle or make(folder, unit="series")
    with service(shown, f"sqlite:///{folder}/insula.db", folder, jobs=1, **settings) as made:
        place = socket_on("127.0.0.1", 0)
        server = uvicorn.Server(uvicorn.Config(made.app, log_level="critical", ws="none", timeout_keep_alive=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the service did not start"
            time.sleep(0.01)
        try:
            yield Live(made, f"http://127.0.0.1:{place.getsockname()[1]}")
        finally:
            server.should_exit = True
            thread.join(60)
            place.close()


def series(folder: Path, numbers: Sequence[int] = (1, 2), modality: str = "CT") -> Path:
    """A folder with a series."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in numbers:
        (folder / f"{n}.dcm").write_bytes(dicom(modality, number=n))
    return folder
