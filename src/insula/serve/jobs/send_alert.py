"""The job that sends an alert to the address that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from insula.serve.faults import RequestError
from insula.serve.jobs.queue import Job
from insula.serve.jobs.worker import Cancelled, Handler, Progress, Write
from insula.serve.monitor import alerts, webhook
from insula.serve.service import Service
from insula.serve.store.connect import reading
from insula.serve.store.schema import now

KIND: Final = "alert"


def handler(service: Service) -> Handler:
    """The handler of these jobs; an address that does not answer is tried again."""

    def send(job: Job, report: Progress, cancelled: Cancelled) -> Write:
        name = str(job.payload["alert"])
        with reading(service.records) as connection:
            found = alerts.found(connection, name)
        if found is None:
            raise RequestError(404, "not_found", f"There is no alert '{name[:40]}'; it was erased.")
        webhook.send(found, service.monitor)

        def write(connection: Connection) -> Mapping[str, Any]:
            alerts.sent(connection, name, now())
            return {"alert": name}

        return write

    return send
