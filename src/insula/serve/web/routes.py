"""All pages of the service with records."""

from __future__ import annotations

from fastapi import APIRouter

from insula.serve.service import Service
from insula.serve.web import (
    about,
    account,
    assets,
    case,
    documents,
    entry,
    evaluation_page,
    history,
    models_page,
    monitoring_page,
    pacs,
    people_page,
    projects_page,
    queue_page,
    reference,
    trail_page,
    training_page,
    upload_page,
    worklist,
)


def routers(service: Service) -> tuple[APIRouter, ...]:
    """The routes of every page, each naming who may see it."""
    return (
        assets.routes(service),
        entry.routes(service),
        worklist.routes(service),
        upload_page.routes(service),
        case.routes(service),
        about.routes(service),
        documents.routes(service),
        reference.routes(service),
        people_page.routes(service),
        projects_page.routes(service),
        account.routes(service),
        history.routes(service),
        queue_page.routes(service),
        pacs.routes(service),
        trail_page.routes(service),
        models_page.routes(service),
        evaluation_page.routes(service),
        monitoring_page.routes(service),
        training_page.routes(service),
    )
