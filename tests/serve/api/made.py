"""A service with records over a tiny bundle, with people of every role, for the tests of the API."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Engine, MetaData
from tests.serve.client import dicom

from insula.bundle.types import Bundle
from insula.serve.app import create_app
from insula.serve.jobs.worker import work
from insula.serve.people import projects, users
from insula.serve.people.roles import ROLES
from insula.serve.service import Service
from insula.serve.settings import Settings
from insula.serve.store.connect import connect, writing
from insula.serve.work import handlers

PASSWORD = "a long enough phrase"
KEY = "t" * 40
BASE = "https://127.0.0.1"


@dataclass(eq=False)
class Made:
    """The application and who is in it: people by role, ids of two projects, of which everybody is in the first."""

    app: FastAPI
    service: Service
    settings: Settings
    ids: Mapping[str, str]
    inside: str
    outside: str
    clients: dict[str, TestClient] = field(default_factory=dict)

    def fresh(self) -> TestClient:
        """A client that has not logged in."""
        return TestClient(self.app, base_url=BASE, raise_server_exceptions=False)

    def client(self, role: str) -> TestClient:
        """A client with a session of somebody of a role."""
        if role not in self.clients:
            one = self.fresh()
            answer = one.post("/api/v1/session", json={"name": role, "password": PASSWORD})
            assert answer.status_code == 200, answer.text
            one.headers["X-CSRF-Token"] = answer.json()["csrf"]
            self.clients[role] = one
        return self.clients[role]

    def study(self, role: str = "reviewer", **fields: str) -> dict[str, Any]:
        """A study of two slices, uploaded by somebody of a role."""
        form = {"project": self.inside, "patient": "P-1", **fields}
        sent = [("files", (f"{n}.dcm", dicom(number=n), "application/dicom")) for n in (1, 2)]
        answer = self.client(role).post("/api/v1/studies", data=form, files=sent)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def worked(self) -> int:
        """Work on all jobs that wait; how many ended."""
        return work(self.service.records, handlers(self.service), "test", threading.Event(), until_idle=True)

    def predicted(self, role: str = "reviewer", **fields: str) -> dict[str, Any]:
        """A prediction of a new study."""
        study = self.study(role, **fields)
        asked = self.client(role).post(f"/api/v1/studies/{study['id']}/predictions", json={})
        assert asked.status_code == 202, asked.text
        self.worked()
        job = self.client(role).get(f"/api/v1/jobs/{asked.json()['id']}").json()
        assert job["state"] == "done", job
        found: dict[str, Any] = self.client(role).get(f"/api/v1/predictions/{job['result']['prediction']}").json()
        return found


def settings_of(bundle: Bundle | None, address: str, folder: Path, **more: Any) -> Settings:
    """Settings of a service with records."""
    plain: dict[str, Any] = {"threads": 1, "jobs": 0, "per_minute": 0.0, "files": str(folder / "files")}
    return Settings(
        bundle=bundle.path if bundle else None,
        database=address,
        trail_key=SecretStr(KEY),
        trail_heads=str(folder / "heads.jsonl"),
        **{**plain, **more},
    )


def people(engine: Engine) -> tuple[dict[str, str], str, str]:
    """Somebody of every role, and somebody of no project (`stranger`); their ids, and those of two projects."""
    at = datetime.now(UTC)
    ids: dict[str, str] = {}
    with writing(engine) as connection:
        inside, outside = (projects.create(connection, name, at).id for name in ("Inside", "Outside"))
        for role in ROLES:
            made = users.create(connection, role, role, at, password=PASSWORD, projects_in=[inside])
            ids[role] = made.id
        ids["stranger"] = users.create(
            connection, "stranger", "reviewer", at, password=PASSWORD, projects_in=[outside]
        ).id
    return ids, inside, outside


def clear(address: str) -> None:
    """Leave no table behind an address."""
    engine = connect(address)
    there = MetaData()
    there.reflect(engine)
    there.drop_all(engine)
    engine.dispose()


@contextmanager
def service(bundle: Bundle | None, address: str, folder: Path, **more: Any) -> Iterator[Made]:
    """A service with people; its jobs are worked on where the test says so."""
    settings = settings_of(bundle, address, folder, **more)
    app = create_app(settings)
    found: Service = app.state.service
    engine = connect(address)
    ids, inside, outside = people(engine)
    engine.dispose()
    try:
        yield Made(app, found, settings, ids, inside, outside)
    finally:
        found.records.dispose()
