"""Who may call what: every route with every role, over the router itself."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from tests.serve.api.made import Made

from insula.serve.api.guard import OPEN, SELF, Routes, check_routes, is_quiet, permission_of
from insula.serve.people.roles import GRANTED, PERMISSIONS, ROLES

pytestmark = pytest.mark.serve
NAMES = {"number": "1", "scan": "ct", "issuer": "none"}
SPARED = {("DELETE", "/api/v1/session")}  # ends the session that the next route needs


def all_routes(app: FastAPI) -> list[APIRoute]:
    return [route for route in app.routes if isinstance(route, APIRoute)]


def call(made: Made, client: Any, route: APIRoute) -> int:
    path = route.path
    for name in route.param_convertors:
        path = path.replace("{" + name + "}", NAMES.get(name, "0" * 32))
    method = next(iter(route.methods or {"GET"}))
    status: int = client.request(method, path, follow_redirects=False).status_code
    return status


def test_every_route_names_a_permission(made: Made) -> None:
    every = all_routes(made.app)
    assert len(every) > 50
    for route in every:
        needs = permission_of(route)
        assert needs in (OPEN, SELF, *PERMISSIONS), route.path
    used = {permission_of(route) for route in every}
    assert used >= {*PERMISSIONS}, "a permission that no route asks for"


def test_what_anybody_may_call_is_little(made: Made) -> None:
    assert {route.path for route in all_routes(made.app) if permission_of(route) == OPEN} == {
        "/",
        "/login",
        "/assets/{name:path}",
        "/about",
        "/documents",
        "/documents/{name:path}",
        "/reference",
        "/privacy",
        "/security",
        "/health",
        "/api/v1/session",
        "/api/v1/session/at/{issuer}",
        "/api/v1/session/back/{issuer}",
    }


def test_nobody_gets_in_without_showing_who_he_is(made: Made) -> None:
    client = made.fresh()
    found = {r.path: call(made, client, r) for r in all_routes(made.app) if permission_of(r) != OPEN}
    assert set(found.values()) == {401}, {path: status for path, status in found.items() if status != 401}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_where_it_may_and_nowhere_else(made: Made, role: Any) -> None:
    client, wrong = made.client(role), {}
    for route in all_routes(made.app):
        needs: Any = permission_of(route)
        if needs == OPEN or (*(route.methods or ()), route.path) in SPARED:
            continue
        status = call(made, client, route)
        may = needs == SELF or needs in GRANTED[role]
        if (status == 403) == may and route.path != "/api/v1/models":  # which says 403 for want of INSULA_MODELS
            wrong[f"{route.methods} {route.path}"] = (needs, status)
        if status in (401, 500):
            wrong[f"{route.methods} {route.path}"] = (needs, status)
    assert not wrong


@pytest.mark.parametrize("scope", ["study.read", "monitor.read"])
def test_a_key_gets_no_further_than_its_scopes(made: Made, scope: Any) -> None:
    admin = made.client("admin")
    answer = admin.post("/api/v1/keys", json={"name": "narrow", "scopes": [scope], "days": 1})
    assert answer.status_code == 201, answer.text
    client = made.fresh()
    client.headers["Authorization"] = f"Bearer {answer.json()['key']}"
    for route in all_routes(made.app):
        needs = permission_of(route)
        if needs not in (OPEN, SELF):
            assert (call(made, client, route) == 403) == (needs != scope), route.path


def test_a_route_that_names_no_permission_keeps_the_service_from_starting(made: Made) -> None:
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()
    check_routes(app)
    router.add_api_route("/secret", lambda: "x")
    app.include_router(router)
    with pytest.raises(AssertionError, match="names no permission"):
        check_routes(app)
    app.router.routes[:] = router.routes
    with pytest.raises(AssertionError, match="/secret names no permission"):
        check_routes(app)


def test_an_answer_that_told_nobody_does_not_leave(made: Made) -> None:
    routes = Routes(made.service, "/api/v1/forgetful", "x")

    @routes.get("", "study.read")
    def silent() -> str:
        return "patient"

    before = list(made.app.router.routes)
    made.app.router.routes.extend(routes.router.routes)
    try:
        answer = made.client("reader").get("/api/v1/forgetful")
    finally:
        made.app.router.routes[:] = before
    assert answer.status_code == 500
    assert "patient" not in answer.text


def test_quiet_routes_tell_of_no_patient(made: Made) -> None:
    quiet = {route.path for route in all_routes(made.app) if is_quiet(route)}
    assert not [path for path in quiet if any(word in path for word in ("studies", "predictions", "queue", "review"))]
