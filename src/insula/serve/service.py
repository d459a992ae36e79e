"""What the routes work with: records, files, models, the trail, and who may be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from sqlalchemy import Connection, Engine

from insula.core.errors import UsageError
from insula.serve.models.limit import ClientLimit
from insula.serve.models.line import Line, Seconds
from insula.serve.models.pool import Pool
from insula.serve.monitor.metrics import Meter, meter
from insula.serve.monitor.settings import MonitorSettings, read_monitor_settings
from insula.serve.narrative.model import Endpoint, endpoint_of
from insula.serve.pacs.settings import PacsSettings, read_pacs_settings
from insula.serve.people.authenticate import authenticate, authenticate_again
from insula.serve.people.caller import Caller
from insula.serve.people.credentials import facts_of
from insula.serve.people.settings import PeopleSettings, read_people_settings
from insula.serve.people.tokens import Verifier
from insula.serve.settings import Settings
from insula.serve.store.connect import connect, reading
from insula.serve.store.files import Files, open_files
from insula.serve.store.migrate import upgrade
from insula.serve.store.schema import now
from insula.serve.trail.append import append, check_key
from insula.serve.trail.keys import trail_key

_UPLOAD_SECONDS: Final = 3600.0  # of many series in one request, each of which has its own limit


@dataclass(frozen=True, eq=False)
class Service:
    """Everything that a running service holds on to. key: the secret of the trail. endpoint: of a language model.

    pacs: the other machines of the hospital, as far as this process is told of them. uploads: the queue before the
    reading of what is uploaded, so that it leaves threads for everything else.
    """

    settings: Settings
    people: PeopleSettings
    monitor: MonitorSettings
    records: Engine
    files: Files
    pool: Pool
    line: Line
    limit: ClientLimit
    verifier: Verifier
    key: bytes
    meter: Meter
    pacs: PacsSettings
    endpoint: Endpoint | None = None
    uploads: Line = field(default_factory=lambda: Line(0, 32))

    def tell(
        self,
        connection: Connection,
        actor: str,
        action: str,
        subject: str = "",
        detail: Mapping[str, Any] | None = None,
        outcome: str = "done",
    ) -> None:
        """Add an entry to the trail, in the transaction of what it tells of."""
        append(connection, self.key, actor=actor, action=action, subject=subject, outcome=outcome, detail=detail or {})

    def caller(self, request: Request) -> Caller:
        """Who sends a request. Raises RequestError 401, 403, 429."""
        facts = facts_of(request.method, request.headers.items())
        found = authenticate(self.records, facts, now(), self.people, self.verifier)
        self.limit.take(found.user_id)
        return found

    def caller_again(self, request: Request, before: Caller) -> Caller:
        """Who sends a request whose answer goes on for long, as he is by now. Raises RequestError 401, 403."""
        facts = facts_of(request.method, request.headers.items())
        return authenticate_again(self.records, facts, before, now(), self.people, self.verifier)


def check_records(settings: Settings) -> None:
    """Refuse settings of records that cannot be, before a model is loaded for nothing. Raises UsageError."""
    if not settings.files:
        raise UsageError(
            "INSULA_DATABASE is set and INSULA_FILES is not; name a folder for the files, or s3://BUCKET/FOLDER."
        )
    trail_key(settings)
    read_people_settings(settings.host)
    read_monitor_settings()
    read_pacs_settings()
    endpoint_of(settings)


def open_service(settings: Settings, pool: Pool, line: Line, limit: ClientLimit) -> Service:
    """Open records, files and the trail; the records are brought to this version first.

    Raises UsageError for a setting that is missing or wrong, RecordsError and TrailError for records and a trail that
    cannot be gone on with.
    """
    check_records(settings)
    key = trail_key(settings)
    people = read_people_settings(settings.host)
    records = connect(settings.database)
    upgrade(records)
    with reading(records) as connection:
        check_key(connection, key)
    return Service(
        settings,
        people,
        read_monitor_settings(),
        records,
        open_files(settings.files),
        pool,
        line,
        limit,
        Verifier(people.issuers),
        key,
        meter(()),
        read_pacs_settings(),
        endpoint_of(settings),
        Line(settings.workers, settings.queue, Seconds(settings.wait_seconds, _UPLOAD_SECONDS)),
    )
