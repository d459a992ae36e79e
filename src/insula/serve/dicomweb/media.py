"""Media types: what a request's body is, and what its sender takes for an answer (PS3.18, sections 8.3.3, 8.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import Request
from starlette.responses import JSONResponse

from insula.serve.faults import RequestError

JSON: Final = "application/dicom+json"
DICOM: Final = "application/dicom"
RELATED: Final = "multipart/related"
_BY_COMMA: Final = re.compile(r'(?:[^,"]|"[^"]*")+')
_BY_SEMICOLON: Final = re.compile(r'(?:[^;"]|"[^"]*")+')
_LONGEST: Final = 2000


@dataclass(frozen=True)
class Media:
    """One media type with its parameters, names in small letters. quality: 0 to 1, 0 for one that is not wanted."""

    kind: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    quality: float = 1.0


class DicomJson(JSONResponse):
    """An answer in the DICOM JSON model (PS3.18, Annex F)."""

    media_type = JSON


def parsed(text: str) -> Media:
    """One media type. Never raises: what cannot be read has the kind ""."""
    kind, *rest = _BY_SEMICOLON.findall(text[:_LONGEST]) or [""]
    parameters = {}
    for one in rest:
        name, _, value = one.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"')
    return Media(kind.strip().lower(), parameters, _quality(parameters.pop("q", "1")))


def accepted(request: Request) -> list[Media]:
    """What the sender takes, the most wanted first: of the query's `accept`, else of the header; anything where neither
    says so.
    """
    text = request.query_params.get("accept") or ", ".join(request.headers.getlist("accept")) or "*/*"
    found = [parsed(one) for one in _BY_COMMA.findall(text[:_LONGEST])]
    return sorted((one for one in found if one.quality > 0), key=lambda one: -one.quality)


def require_json(request: Request) -> None:
    """Refuse a request whose sender does not take DICOM JSON. Raises RequestError 406."""
    kinds = {one.kind for one in accepted(request)}
    if not kinds & {JSON, "application/json", "application/*", "*/*"}:
        raise not_acceptable(JSON)


def body_is(request: Request) -> Media:
    """The media type of the request's body; its kind is "" where there is none."""
    return parsed(request.headers.get("content-type", ""))


def not_acceptable(*offered: str) -> RequestError:
    """The sender takes none of what there is."""
    return RequestError(406, "not_acceptable", f"This address answers as {' or '.join(offered)}; accept that.")


def unsupported(found: Media, wanted: Sequence[str]) -> RequestError:
    """The request's body is of another kind."""
    shown = "".join(c for c in found.kind if c.isprintable())[:60]
    return RequestError(415, "unsupported_media", f"The request's body is '{shown}'; send {' or '.join(wanted)}.")


def warned(message: str) -> dict[str, str]:
    """The header of a warning (RFC 7234, section 5.5) as PS3.18 has them."""
    return {"Warning": f"299 insula: {message}"}


def _quality(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if 0.0 <= found <= 1.0 else 0.0


def element(vr: str, *values: Any) -> dict[str, Any]:
    """One attribute in the DICOM JSON model; empty without values."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}
