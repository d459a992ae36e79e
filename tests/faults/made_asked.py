"""A request for a route of the router, made from the route itself: address, body and query, filled with given ids."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.routing import APIRoute
from tests.faults.made_rooms import DICOM_JSON, Rooms
from tests.serve.client import dicom
from tests.serve.dicomweb.made import message, workitem

from insula.serve.web.shapes import example_of

PLAIN: Final = {
    "number": "1", "scan": "ct", "issuer": "none", "peer": "archive", "name": "reading", "run": "none",
    "bundle_id": "0" * 16, "subscriber": "NODE",
}  # fmt: skip
# what a field of a body or a query names, by its name
_NAMED: Final = {
    "project": "project_id", "projects": "project_id", "study": "study_id", "studies": "study_id",
    "prediction": "prediction_id", "patient": "patient_id", "reviewer": "user_id",
}  # fmt: skip
_LISTED: Final = {"/api/v1/worklist": "study_id", "/worklist/rows": "study_id", "/api/v1/jobs": "job_id"}


@dataclass(frozen=True)
class Asked:
    """A request as a client of HTTP sends it. names: which of the given ids are in it."""

    method: str
    path: str
    more: Mapping[str, Any]
    names: frozenset[str] = field(default_factory=frozenset)

    def by(self, client: Any, **headers: str) -> Any:
        """The answer that a client gets."""
        given = {"If-Match": '"1"', **dict(self.more.get("headers", {})), **headers}
        return client.request(self.method, self.path, follow_redirects=False, **{**self.more, "headers": given})


def asked(rooms: Rooms, route: APIRoute, ids: Mapping[str, str], own: Mapping[str, str]) -> Asked:
    """The request of a route with these ids; own: of the list that a body needs two of."""
    method = method_of(route)
    given = {**PLAIN, **ids}
    params = list(route.param_convertors)
    path = route.path
    for name in params:
        path = re.sub(r"\{" + name + r"(:\w+)?\}", given[name], path)
    more, names = _body(rooms, route, ids, own)
    query = {} if more else {p.alias: ids[k] for p in route.dependant.query_params if (k := _kind(route, p.alias))}
    more = {**more, "params": query} if query else more
    in_query = {_kind(route, name) for name in query}
    return Asked(method, path, more, frozenset({*params, *names, *in_query} & ids.keys()))


def method_of(route: APIRoute) -> str:
    """The one method of a route."""
    (method,) = route.methods or {"GET"}
    return method


def _kind(route: APIRoute, alias: str) -> str:
    if alias == "id":
        return _LISTED[route.path]
    return "prediction_id" if (route.path, alias) == ("/queue/next", "after") else _NAMED.get(alias, "")


def _body(
    rooms: Rooms, route: APIRoute, ids: Mapping[str, str], own: Mapping[str, str]
) -> tuple[dict[str, Any], set[str]]:
    if route.methods == {"GET"}:
        return {}, set()
    path = route.path
    if path == "/api/v1/studies":
        form = {"project": ids["project_id"], "patient": "NEW"}
        return {"data": form, "files": [("files", ("a.dcm", dicom()))]}, {"project_id"}
    if path in ("/predict", "/batch_predict") or path.endswith("/files"):
        return {"files": [("file" if path == "/predict" else "files", ("a.dcm", dicom()))]}, set()
    if path.startswith("/dicom-web/studies"):
        return message([b"no object"]), set()
    if path.startswith("/dicom-web/workitems"):
        return {"content": json.dumps([workitem()]), "headers": DICOM_JSON}, set()
    whole = rooms.made.app.openapi()
    operation = whole["paths"][re.sub(r":\w+\}", "}", path)][method_of(route).lower()]
    if "requestBody" not in operation:
        return {}, set()
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    body = example_of(schema, whole["components"]["schemas"])
    there = {name for name in body if name in _NAMED}
    for name in there:
        one = ids[_NAMED[name]]
        body[name] = [own["study_id"], one] if name == "studies" else [one] if name == "projects" else one
    return {"json": body}, {_NAMED[name] for name in there}


def said(answer: Any, *ids: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
    """What an answer says, with the ids that the request named taken out: status, headers, body."""
    text = answer.content.decode("utf-8", "replace")
    headers = {k: v for k, v in answer.headers.items() if k not in ("content-length", "date")}
    for kind in ids:
        for name, value in kind.items():
            text = text.replace(value, f"<{name}>")
            headers = {k: v.replace(value, f"<{name}>") for k, v in headers.items()}
    return answer.status_code, headers, text
