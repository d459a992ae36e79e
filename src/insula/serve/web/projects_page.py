"""The pages of the projects: which there are, and one with its members and what it keeps for how long."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.serve.api.cursor import After, cut, seen
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.shapes import Id
from insula.serve.people import projects, user
from insula.serve.service import Service
from insula.serve.store import retention
from insula.serve.store.schema import now
from insula.serve.web.frame import PAGE, page

ROWS: Final = 50
MOST_CHOICES: Final = 500  # people to choose from on a project's page


def routes(service: Service) -> APIRouter:
    """`/projects`."""
    made = Routes(service, "/projects", "pages")

    @made.get("", "project.manage", quiet=True, **PAGE)
    def listed(acting: Acting, after: After = None) -> HTMLResponse:
        """All projects, in the order in which they were made."""
        with acting.look() as connection:
            found, cursor = cut(projects.page(connection, seen(after) or 0, ROWS + 1), ROWS)
            counts = projects.counts(connection, [one.id for one in found])
            rules = retention.rules_of_all(connection, [one.id for one in found])
        return page(
            acting,
            "projects.html",
            projects=found,
            counts=counts,
            rules=rules,
            first="/projects" if after else "",
            next="/projects?" + urlencode({"after": cursor}) if cursor else "",
        )

    @made.get("/{project_id}", "project.manage", quiet=True, **PAGE)
    def one(acting: Acting, project_id: Id, after: After = None) -> HTMLResponse:
        """One project. after: in the list of its members."""
        with acting.look() as connection:
            found = projects.find(connection, project_id)
            more = user.page(connection, seen(after) or 0, ROWS + 1, project_id=project_id)
            inside, cursor = cut(more, ROWS)
            others = user.page(connection, 0, MOST_CHOICES, active=True) if acting.caller.may("user.manage") else []
            counts = projects.counts(connection, [project_id])[project_id]
            rules = retention.rules_of(connection, project_id)
            due = retention.due(connection, project_id, now())
        return page(
            acting,
            "project.html",
            project=found,
            members=inside,
            others=[member for member in others if project_id not in member.projects],
            all_shown=len(others) < MOST_CHOICES,
            counts=counts,
            rules=rules,
            due=due,
            first=f"/projects/{project_id}" if after else "",
            next=f"/projects/{project_id}?" + urlencode({"after": cursor}) if cursor else "",
        )

    return made.router
