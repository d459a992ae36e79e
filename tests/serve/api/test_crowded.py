"""Many uploads and many who follow jobs leave threads and lines for everybody else."""

from __future__ import annotations

import json
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest
from tests.client.live import live
from tests.serve.api.made import service
from tests.serve.client import dicom
from tests.tiny_bundle import make

from insula.serve.jobs import queue
from insula.serve.jobs.queue import Wanted
from insula.serve.store.connect import writing
from insula.serve.store.schema import now

pytestmark = pytest.mark.serve


def test_uploads_have_a_queue_of_their_own_and_a_clear_no(tmp_path: Path) -> None:
    with service(make(tmp_path), f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        study = made.study()
        client, line = made.client("reviewer"), made.service.uploads
        form, sent = {"project": made.inside, "patient": "P-2"}, [("files", ("1.dcm", dicom(), "application/dicom"))]
        line.held = line.places
        for path in ("/api/v1/studies", f"/api/v1/studies/{study['id']}/files"):
            answer = client.post(path, data=form, files=sent)
            assert (answer.status_code, answer.json()["code"]) == (503, "busy")
            assert int(answer.headers["Retry-After"]) >= 1
        assert len(client.get("/api/v1/studies").json()["items"]) == 1
        line.held = 0
        assert client.post("/api/v1/studies", data=form, files=sent).status_code == 201


def test_one_person_follows_so_many_jobs_at_a_time(tmp_path: Path) -> None:
    with live(tmp_path) as site:
        made = site.made
        wanted = Wanted("predict", {}, project_id=made.inside, created_by=made.ids["reviewer"])
        with writing(made.service.records) as connection:
            job = queue.put(connection, wanted, now(), timedelta(days=1))

        def following() -> tuple[socket.socket, bytes]:
            line = socket.create_connection(("127.0.0.1", int(site.address.rpartition(":")[2])), 60)
            head = [f"GET /api/v1/jobs/{job.id}/events HTTP/1.1", "Host: 127.0.0.1"]
            line.sendall("\r\n".join([*head, f"Authorization: Bearer {site.key('reviewer')}", "", ""]).encode())
            return line, line.recv(4096)

        lines = [following() for _ in range(16)]
        assert all(b" 200 " in said for _, said in lines)
        more, refused = following()
        assert b" 429 " in refused
        assert json.loads(refused.partition(b"\r\n\r\n")[2] or more.recv(4096))["code"] == "too_many_streams"
        more.close()
        lines.pop()[0].close()
        said, end = b"", time.monotonic() + 60.0
        while b" 200 " not in said:  # as soon as the service has seen that one is gone
            assert time.monotonic() < end
            line, said = following()
            lines.append((line, said))
        for line, _ in lines:
            line.close()
