"""What is said of a request whose fields are not as the description asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

UNREADABLE: Final = (
    "The request's 'body' is refused: it is no JSON that can be read, nested too deep or no UTF-8; see /openapi.json."
)
ID: Final = r"^[0-9a-f]{32}$"
_LISTED: Final = {  # where the ids of a kind stand, by what a field or part of an address is called
    "project": "/api/v1/projects",
    "study": "/api/v1/worklist",
    "prediction": "/api/v1/predictions",
    "user": "/api/v1/users",
    "job": "/api/v1/jobs",
}


def said(error: Mapping[str, Any]) -> str:
    """One sentence of the first thing that is wrong, as pydantic tells it: where, and nothing of what was sent."""
    place = ".".join(str(part) for part in error["loc"])[:120]
    names = [str(part) for part in error["loc"] if isinstance(part, str)]
    kind = (names[-1] if names else "").removesuffix("_id").removesuffix("s")
    if error["type"] == "string_pattern_mismatch" and error.get("ctx", {}).get("pattern") == ID:
        where = f"GET {_LISTED[kind]} lists them" if kind in _LISTED else "lists and answers show them"
        return f"The request's '{place}' is no id, which has 32 digits of 0 to 9 and a to f; {where}."
    return f"The request's '{place}' is refused: {str(error['msg'])[:200]}; see /openapi.json."
