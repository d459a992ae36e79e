"""Addresses below `/dicom-web`: UIDs in paths, and where a study, a series, an object or a work item is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import Path, Request

ROOT: Final = "/dicom-web"
# PS3.18 describes these addresses, with payloads that OpenAPI cannot
QUIET: Final[Mapping[str, Any]] = {"include_in_schema": False, "response_model": None}
UID: Final = r"^[0-9]+(\.[0-9]+)*$"  # leading zeros, too, which are in the UIDs of old scanners
Uid = Annotated[str, Path(max_length=64, pattern=UID)]


def root_of(request: Request) -> str:
    """The address of the DICOMweb server, as the sender of a request knows it."""
    return f"{request.url.scheme}://{request.url.netloc}{ROOT}"


def place(root: str, study: str, series: str = "", instance: str = "") -> str:
    """The address of a study, a series or an object."""
    found = f"{root}/studies/{study}"
    if series:
        found += f"/series/{series}"
    return f"{found}/instances/{instance}" if instance else found


def workitem(root: str, uid: str) -> str:
    """The address of a work item."""
    return f"{root}/workitems/{uid}"
