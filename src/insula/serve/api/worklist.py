"""The worklist: studies with the state of their newest work and answer."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query

from insula.serve.api.cursor import MOST, After, Limit, Page, cursor, seen
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.shapes import Id
from insula.serve.api.shapes_worklist import WorklistRow
from insula.serve.people.visible import rows_of
from insula.serve.service import Service
from insula.serve.store import paging, schema, worklist
from insula.serve.store.worklist import Filters, Row, Wanted

TEXT: Final = Query(max_length=64, description="Part of the patient's key or name, or of the title.")
Named = Annotated[list[Id], Query(alias="study", max_length=MOST, description="These studies alone.")]


def routes(service: Service) -> APIRouter:
    """`/worklist`."""
    made = Routes(service, "/api/v1/worklist", "studies")

    @made.get("", "study.read")
    def listed(
        acting: Acting,
        limit: Limit = 50,
        after: After = None,
        text: Annotated[str, TEXT] = "",
        project: Id | None = None,
        state: Wanted | None = None,
        mine: Annotated[bool, Query(description="Uploaded by you.")] = False,
        named: Named = [],  # noqa: B006 - a list that nobody changes
    ) -> Page[WorklistRow]:
        """The worklist: studies that you may see with their newest work and answer, the newest first."""
        if named:
            found = paging.Page(tuple(some(acting, named)), None)
        else:
            filters = Filters(text, project, state, acting.caller.user_id if mine else None)
            found = page(acting, filters, seen(after), limit)
        return Page(
            items=[WorklistRow.model_validate(one) for one in found.rows],
            next=None if found.before is None else cursor(found.before),
        )

    return made.router


def page(acting: Act, filters: Filters, before: int | None, limit: int) -> paging.Page[Row]:
    """A page of the worklist, told to the trail."""
    with acting.read("study.list") as connection:
        found = worklist.page(connection, rows_of(acting.caller, schema.studies), filters, before, limit)
        acting.told(rows=len(found.rows))
    return found


def some(acting: Act, study_ids: list[str]) -> list[Row]:
    """Rows of the worklist by their studies, told to the trail."""
    with acting.read("study.list") as connection:
        found = worklist.some(connection, rows_of(acting.caller, schema.studies), study_ids)
        acting.told(rows=len(found))
    return found
