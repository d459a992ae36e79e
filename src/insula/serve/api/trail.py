"""The audit trail: to be read, exported and verified."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from insula.serve.api.cursor import After, Limit, Page, cursor, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.shapes import Entry
from insula.serve.faults import RequestError
from insula.serve.service import Service
from insula.serve.store.connect import reading
from insula.serve.trail import export, search
from insula.serve.trail.entries import START, Mark, to_show
from insula.serve.trail.search import Filter
from insula.serve.trail.verify import verify

Word = Annotated[str, Query(max_length=120)]
MOST: Final = 100_000  # entries that one request looks at: some seconds
_AFTER: Final = Query(pattern=r"^[0-9]{1,15}\.[0-9a-f]{64}$", description="`next` of the verdict before.")


class Verdict(BaseModel):
    """Whether the trail holds. said: in sentences. chain_only: no signed head vouches for its end.

    entries: how many hold, from the first on. covered: the last of them that a head vouches for. heads: that were
    signed with this key; spoilt_heads: what lies among them and is none. next: where to ask on (`after`), null where
    all entries were looked at.
    """

    holds: bool
    entries: int
    covered: int
    heads: int
    spoilt_heads: int
    chain_only: bool
    said: str
    next: str | None = Field(default=None, examples=["100000." + "0" * 64])


def routes(service: Service) -> APIRouter:
    """`/trail`."""
    made = Routes(service, "/api/v1/trail", "trail")
    verifying = threading.Lock()

    @made.get("", "trail.read")
    def page(
        acting: Acting,
        limit: Limit = 50,
        after: After = None,
        actor: Word = "",
        action: Word = "",
        subject: Word = "",
        outcome: Word = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[Entry]:
        """Entries, the newest first."""
        wanted = _filter(actor, action, subject, outcome, since, until)
        with acting.read("trail.read") as connection:
            found = search.page(connection, wanted, before=seen(after), limit=limit)
        return Page(
            items=[Entry.model_validate(to_show(one)) for one in found.entries],
            next=None if found.before is None else cursor(found.before),
        )

    @made.get("/export", "trail.read", response_class=Response)
    def exported(
        acting: Acting,
        form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
        actor: Word = "",
        action: Word = "",
        subject: Word = "",
        outcome: Word = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Response:
        """Entries as JSON lines, fit for checking, or as CSV for a spreadsheet; the oldest first."""
        wanted = _filter(actor, action, subject, outcome, since, until)
        with acting.write("trail.export", form=form):
            pass
        lines = export.json_lines if form == "jsonl" else export.csv_lines

        def stream() -> Iterator[str]:
            with reading(service.records) as connection:
                yield from lines(search.matching(connection, wanted))

        media = "application/x-ndjson" if form == "jsonl" else "text/csv"
        headers = {"Content-Disposition": f'attachment; filename="trail.{form}"'}
        return StreamingResponse(stream(), 200, headers, media)

    @made.get("/verify", "trail.read")
    def verified(acting: Acting, after: Annotated[str | None, _AFTER] = None) -> Verdict:
        """Read the trail, 100,000 entries at a time and one who asks at a time, and hold it against its heads."""
        if not verifying.acquire(blocking=False):
            raise RequestError(503, "busy", "The trail is being verified for somebody else; try again in a minute.",
                               {"Retry-After": "60"})  # fmt: skip
        try:
            found = verify(service.records, service.key, service.settings.trail_heads, _mark(after), MOST)
        finally:
            verifying.release()
        with acting.write("trail.verify", holds=found.holds):
            pass
        return Verdict(
            holds=found.holds,
            entries=found.entries,
            covered=found.covered,
            heads=found.heads,
            spoilt_heads=found.spoilt,
            chain_only=found.chain_only,
            said=found.said(),
            next=f"{found.end.seq}.{found.end.digest}" if found.left and found.holds else None,
        )

    return made.router


def _mark(after: str | None) -> Mark:
    seq, _, digest = (after or "").partition(".")
    return Mark(int(seq), digest) if seq else START


def _filter(
    actor: str, action: str, subject: str, outcome: str, since: datetime | None, until: datetime | None
) -> Filter:
    for name, moment in (("since", since), ("until", until)):
        if moment is not None and moment.tzinfo is None:
            raise RequestError(422, "invalid", f"'{name}' has no time zone; write it as 2026-01-31T08:00:00Z.")
    return Filter(actor, action, subject, outcome, since, until)
