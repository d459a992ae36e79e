"""The page by which scans come: dropped or chosen, grouped into cases, sent one case after the other."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import HTMLResponse

from insula.serve.api.guard import Acting, Routes
from insula.serve.models import choose
from insula.serve.people import projects
from insula.serve.service import Service
from insula.serve.store.patients import LONGEST_KEY, LONGEST_NAME
from insula.serve.store.studies import LONGEST_NOTE, LONGEST_TITLE, SORTED
from insula.serve.upload import MOST_FILES
from insula.serve.web.frame import PAGE, page


def routes(service: Service) -> APIRouter:
    """`/upload`."""
    made = Routes(service, "", "pages")

    @made.get("/upload", "study.write", quiet=True, **PAGE)
    def upload(acting: Acting) -> HTMLResponse:
        """Choose files, say whose they are, send them, watch them being worked on."""
        with acting.look() as connection:
            own = projects.page(connection, limit=200, only=acting.caller.projects)
            serving = choose.in_state(connection, "active")
        roles = roles_of(serving)
        return page(
            acting,
            "upload.html",
            projects=own,
            models=[one.name for one in serving] if acting.caller.may("study.predict") else [],
            roles=roles,
            most_bytes=service.settings.max_bytes,
            most_files=MOST_FILES,
            longest={"key": LONGEST_KEY, "name": LONGEST_NAME, "title": LONGEST_TITLE, "note": LONGEST_NOTE},
            facts={
                "most_bytes": service.settings.max_bytes,
                "most_files": MOST_FILES,
                "longest_key": LONGEST_KEY,
                "sorted": SORTED,
                "roles": roles,
            },
        )

    return made.router


def roles_of(models: list[choose.Model]) -> list[dict[str, Any]]:
    """The inputs of the models in charge, each once with its modality; none where every model has one input alone.

    A model whose recipe this version does not read is passed over.
    """
    found: dict[str, str] = {}
    for one in models:
        recipe = choose.recipe_or_none(one)
        if recipe is not None and len(recipe.inputs) > 1:
            found |= {role: section.modality for role, section in recipe.inputs.items()}
    return [{"role": role, "modality": modality} for role, modality in found.items()]
