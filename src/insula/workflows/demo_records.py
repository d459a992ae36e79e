"""The records of a demo: people, a project, and phantom studies that were uploaded, predicted and reviewed.

All of it goes through the service's own API, as people would do it, so that the trail tells of it as it would of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from insula.bundle.load import load
from insula.bundle.types import Bundle
from insula.core import scratch
from insula.core.errors import InsulaError
from insula.core.provenance import write_json
from insula.serve.app import create_app
from insula.serve.jobs.worker import work
from insula.serve.people import projects, users
from insula.serve.people.roles import Role
from insula.serve.service import Service
from insula.serve.settings import Settings, read_settings
from insula.serve.store.connect import writing
from insula.serve.store.schema import now
from insula.serve.work import handlers
from insula.workflows.demo_scans import Sent, scans_of

PROJECT: Final = "Demo"
PEOPLE: Final[Mapping[str, tuple[Role, str]]] = {
    "ada": ("admin", "Ada Demo"),
    "ben": ("reviewer", "Ben Demo"),
    "cleo": ("reader", "Cleo Demo"),
}
_KEY: Final = "trail.key"
_MADE: Final = "made.json"  # written last, so that records with it are whole ones
_BASE: Final = "https://127.0.0.1"


@dataclass(frozen=True)
class Records:
    """Records of a demo. password: of everybody in it, "" where they were made before, since it is kept nowhere."""

    settings: Settings
    key_file: Path
    password: str = field(repr=False)


def records_of_demo(demo: Path, recipe: str, bundle: Path, port: int, say: Callable[[str], None]) -> Records:
    """The records of a finished demo, under its folder `service`, with the figures of its evaluation."""
    beside = bundle.with_name(f"{bundle.name}.report.json")  # where the service looks for an evaluation
    shutil.copyfile(demo / "report.json", beside)
    with scratch.folder() as work:
        return records(demo / "service", load(bundle), port, lambda: scans_of(demo, recipe, Path(work)), say, demo)


def records(
    folder: Path,
    bundle: Bundle,
    port: int,
    scans: Callable[[], Sequence[Sent]],
    say: Callable[[str], None],
    runs: Path | None = None,
) -> Records:
    """The records in a folder; made where there are none of this bundle, or where making them was broken off.

    scans: gives what is uploaded; asked only where records are made. runs: the folder of training runs to be shown.
    Raises what the service raises.
    """
    whole = _are_of(folder, bundle.id)
    if not whole:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        _make_key(folder / _KEY)
    settings = _settings(folder.absolute(), bundle.path, port, runs)
    if whole:
        return Records(settings, folder / _KEY, "")
    app, password = create_app(settings), secrets.token_urlsafe(12)
    service: Service = app.state.service
    try:
        asyncio.run(_filled(app, service, password, scans(), say))
    finally:
        service.records.dispose()
    write_json(folder / _MADE, {"bundle": bundle.id})
    return Records(settings, folder / _KEY, password)


def _settings(folder: Path, bundle: Path, port: int, runs: Path | None) -> Settings:
    return read_settings(
        bundle=bundle,
        host="127.0.0.1",
        port=port,
        database=f"sqlite:///{folder}/insula.db",
        files=str(folder / "files"),
        trail_key=SecretStr((folder / _KEY).read_text(encoding="ascii")),
        trail_heads=str(folder / "heads.jsonl"),
        runs=runs,
        jobs=1,
    )


def _make_key(path: Path) -> None:
    """A secret that its owner alone can read, from the first byte on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
        stream.write(secrets.token_urlsafe(32))


def _are_of(folder: Path, bundle_id: str) -> bool:
    try:
        made = json.loads((folder / _MADE).read_text(encoding="utf-8"))
        return made["bundle"] == bundle_id and (folder / _KEY).is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


async def _filled(
    app: FastAPI, service: Service, password: str, scans: Sequence[Sent], say: Callable[[str], None]
) -> None:
    project = _people(service, password)
    say(f"{len(PEOPLE)} people and the project {PROJECT}")
    transport = httpx.ASGITransport(app=app)
    asked: list[str] = []
    async with httpx.AsyncClient(transport=transport, base_url=_BASE, timeout=None) as client:  # noqa: S113 - in here
        await _log_in(client, "cleo", password)
        for one in scans:
            study = await _uploaded(client, project, one)
            answer = await client.post(f"/api/v1/studies/{study}/predictions", json={"uncertainty": True})
            asked.append(str(_content(answer)["id"]))
    say(f"{len(asked)} phantom studies uploaded")
    stop = threading.Event()
    await asyncio.to_thread(work, service.records, handlers(service), "demo", stop, until_idle=True)
    async with httpx.AsyncClient(transport=transport, base_url=_BASE, timeout=None) as client:  # noqa: S113 - in here
        await _log_in(client, "ben", password)
        jobs = [_content(await client.get(f"/api/v1/jobs/{one}")) for one in asked]
        found = [str(job["result"]["prediction"]) for job in jobs if job["state"] == "done"]
        answers = [_content(await client.get(f"/api/v1/predictions/{one}")) for one in found]
        actions = [str(one["action"]) for one in answers]
        counts = ", ".join(f"{actions.count(one)} {said}" for one, said in _SAID.items())
        say(f"answers: {counts}; {len(jobs) - len(found)} scans that the model does not take")
        await _reviewed(client, service, answers)


_SAID: Final = {"accept": "accepted", "refer": "referred", "reject": "rejected"}


def _people(service: Service, password: str) -> str:
    """Make people and their project; its id."""
    at = now()
    with writing(service.records) as connection:
        project = projects.create(connection, PROJECT, at).id
        service.tell(connection, "demo", "project.create", project)
        for name, (role, full_name) in PEOPLE.items():
            made = users.create(
                connection, name, role, at, full_name=full_name, password=password, projects_in=[project]
            )
            service.tell(connection, "demo", "user.create", made.id, {"role": role})
    return project


async def _log_in(client: httpx.AsyncClient, name: str, password: str) -> None:
    answer = await client.post("/api/v1/session", json={"name": name, "password": password})
    client.headers["X-CSRF-Token"] = str(_content(answer)["csrf"])


async def _uploaded(client: httpx.AsyncClient, project: str, one: Sent) -> str:
    form = {"project": project, "patient": one.patient, "title": one.title, "attributes": json.dumps(one.attributes)}
    files = [("files", (path.name, path.read_bytes(), "application/octet-stream")) for path in one.files]
    return str(_content(await client.post("/api/v1/studies", data=form, files=files))["id"])


async def _reviewed(client: httpx.AsyncClient, service: Service, answers: Sequence[Mapping[str, Any]]) -> None:
    """The first answer that stands is agreed with."""
    loaded = service.pool.first()
    first = next((one for one in answers if one["action"] == "accept"), None)
    first = first or next((one for one in answers if one["action"] == "refer"), None)
    if loaded is None or first is None:
        return
    body = {
        "target": loaded.bundle.recipe.target_name,
        "verdict": "agree",
        "signature": PEOPLE["ben"][1],
        "prediction": first["id"],
        "comment": "Made by the demo: nobody read this scan.",
    }
    _content(await client.post(f"/api/v1/studies/{first['study_id']}/reviews", json=body))


def _content(answer: httpx.Response) -> dict[str, Any]:
    """The JSON of an answer. Raises InsulaError with the service's words where it refused."""
    content: dict[str, Any] = answer.json()
    if answer.is_error:
        raise InsulaError(f"The demo's records cannot be made: {content.get('detail', answer.status_code)}")
    return content
