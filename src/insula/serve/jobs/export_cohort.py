"""The job that lays reviewed studies out as a cohort to train and evaluate on, in one zip file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from insula.core import scratch
from insula.serve import room
from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled, Handler, Progress, Write
from insula.serve.people import user
from insula.serve.service import Service
from insula.serve.store import review_export
from insula.serve.store.connect import reading

KIND: Final = "cohort"
_MOST: Final = 1 << 40


def handler(service: Service) -> Handler:
    """The handler of these jobs. The result names the zip file by its SHA-256, what was left out and why, and how
    many studies were withheld from the one who asked.
    """

    def export(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        recipe = service.pool.get(job.payload["bundle"]).bundle.recipe
        projects = frozenset(job.payload["projects"])
        reader = job.payload.get("reader", job.created_by)  # one put by an older version names none
        with scratch.folder() as name:
            folder, archive = Path(name, "cohort"), Path(name, "cohort.zip")
            report(0.1, "laying the studies out")
            with reading(service.records) as connection:
                made = review_export.export(connection, service.files, folder, recipe, projects, reader, _room(service))
            report(0.7, "packing")
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
                for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                    packed.write(path, path.relative_to(folder).as_posix())
            with archive.open("rb") as stream:
                stored = service.files.put(stream, _MOST)
        result: Mapping[str, Any] = {
            "sha256": stored.sha256,
            "size": stored.size,
            "cases": made.cases,
            "left_out": [{"study": one.study_id, "reason": one.reason} for one in made.left_out],
            "withheld": made.withheld,
        }

        def write(connection: Connection) -> Mapping[str, Any]:
            actor = user.find(connection, job.created_by).name if job.created_by else "worker"
            service.tell(connection, actor, "cohort.make", job.id, {"cases": made.cases})
            return result

        return write

    return export


def _room(service: Service) -> review_export.Room:
    """Asks for the laid out scans, the archive beside them, and the archive in the store; the scans may not deflate."""
    spare = service.pacs.least_free_mb << 20
    return lambda size: room.ask(service.files, 2 * size, size, spare)
