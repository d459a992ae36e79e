"""A web server of a few lines that keeps DICOM objects: WADO-RS of a study, STOW-RS, and nothing else."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pydicom


@dataclass
class Archive:
    """What it keeps. studies: UID → files; refuses: whether it takes nothing more; asked: paths, in their order."""

    url: str = ""
    studies: dict[str, list[bytes]] = field(default_factory=dict)
    refuses: bool = False
    asked: list[str] = field(default_factory=list)

    def add(self, data: bytes) -> pydicom.FileDataset:
        """Keep an object."""
        one = pydicom.dcmread(io.BytesIO(data))
        raw: Any = one.get_item("StudyInstanceUID")  # unread: pydicom warns of the UIDs of old scanners
        self.studies.setdefault(raw.value.decode().rstrip("\0"), []).append(data)
        return one


@contextmanager
def archive() -> Iterator[Archive]:
    """The server, as long as the block runs."""
    kept = Archive()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base
            """Nothing on the screen."""

        def do_GET(self) -> None:
            kept.asked.append(self.path)
            found = kept.studies.get(self.path.rpartition("/")[2], [])
            head = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
            body = b"".join(head + one + b"\r\n" for one in found) + b"--b--\r\n"
            self._answer(200 if found else 404, 'multipart/related; type="application/dicom"; boundary=b', body)

        def do_POST(self) -> None:
            kept.asked.append(self.path)
            body = self.rfile.read(int(self.headers["Content-Length"]))
            boundary = self.headers["Content-Type"].partition('boundary="')[2].rstrip('"').encode()
            taken, failed = [], []
            for part in body.split(b"--" + boundary)[1:-1]:
                data = part.partition(b"\r\n\r\n")[2][:-2]
                one = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
                item = {
                    "00081150": {"vr": "UI", "Value": [str(one.SOPClassUID)]},
                    "00081155": {"vr": "UI", "Value": [str(one.SOPInstanceUID)]},
                }
                if kept.refuses:
                    failed.append({**item, "00081197": {"vr": "US", "Value": [0x0122]}})
                else:
                    kept.add(data)
                    taken.append(item)
            told = {"00081199": {"vr": "SQ", "Value": taken}, "00081198": {"vr": "SQ", "Value": failed}}
            answer = {tag: one for tag, one in told.items() if one["Value"]}
            self._answer(409 if failed else 200, "application/dicom+json", json.dumps(answer).encode())

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join(30)
        server.server_close()
