"""All addresses below `/dicom-web`."""

from __future__ import annotations

from fastapi import APIRouter

from insula.serve.dicomweb import query, retrieve, stow, workitems
from insula.serve.service import Service


def routers(service: Service) -> tuple[APIRouter, ...]:
    """STOW-RS, QIDO-RS, WADO-RS and UPS-RS."""
    return tuple(part.routes(service) for part in (stow, query, retrieve, workitems))
