"""All pages of the service with records."""

from __future__ import annotations

from fastapi import APIRouter

from insula.serve.service import Service
from insula.serve.web import assets, entry


def routers(service: Service) -> tuple[APIRouter, ...]:
    """The routes of every page, each naming who may see it."""
    return (
        assets.routes(service),
        entry.routes(service),
    )
