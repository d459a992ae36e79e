"""A real Orthanc on this machine's loopback, started for the tests and stopped after them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

AE = "ORTHANC"
PLUGINS = Path("/usr/share/orthanc/plugins")


@dataclass(frozen=True)
class Orthanc:
    """Where it listens. http: its REST interface; web: its DICOMweb."""

    dicom: int
    http: str

    @property
    def web(self) -> str:
        """The root of its DICOMweb server."""
        return f"{self.http}/dicom-web"

    def get(self, path: str) -> Any:
        """JSON from its REST interface."""
        answer = httpx.get(f"{self.http}{path}", timeout=30)
        answer.raise_for_status()
        return answer.json()

    def file(self, path: str) -> bytes:
        """Bytes from its REST interface."""
        answer = httpx.get(f"{self.http}{path}", timeout=30)
        answer.raise_for_status()
        return answer.content

    def clear(self) -> None:
        """Leave no patient in it."""
        for one in self.get("/patients"):
            httpx.delete(f"{self.http}/patients/{one}", timeout=30).raise_for_status()


@contextmanager
def running(folder: Path, nodes: dict[str, tuple[str, int]], **more: Any) -> Iterator[Orthanc]:
    """Orthanc with an empty store in a folder. nodes: the machines that it knows, name → AE title and port.

    more: of its own settings.
    """
    program = shutil.which("Orthanc")
    assert program, "Orthanc is missing; run scripts/system-packages pacs"
    dicom, http = free_port(), free_port()
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "Plugins": [str(PLUGINS / "libOrthancDicomWeb.so")],
        "DicomAet": AE,
        "DicomPort": dicom,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "HttpPort": http,
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False,
        "StableAge": 1,
        "OverwriteInstances": False,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {name: [title, "127.0.0.1", port] for name, (title, port) in nodes.items()},
        **more,
    }
    (folder / "store").mkdir(parents=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
        try:
            found = Orthanc(dicom, f"http://127.0.0.1:{http}")
            _wait(found, process, folder)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
    return port


def _wait(found: Orthanc, process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < until:
        try:
            found.get("/system")
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError(f"Orthanc did not start: {(folder / 'orthanc.log').read_text()[-2000:]}")
