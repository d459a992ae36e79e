"""Every route of the router itself, asked for by everybody who must not get there: denied before anything else.

Whatever the address, the method, or what is shown: without somebody who is known and may, nothing is answered but a
refusal, and the refusal does not depend on what is there.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from tests.faults.made_asked import asked, method_of
from tests.faults.made_nobodies import bad, bearer, believed, good
from tests.faults.made_rooms import Rooms
from tests.faults.tally import Tally, sizes
from tests.serve.client import KEY, client
from tests.tiny_bundle import make

from insula.serve.api.guard import OPEN, SELF, permission_of
from insula.serve.people.roles import GRANTED, ROLES

pytestmark = pytest.mark.serve
DENIED = (401, 403)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW")


def closed(rooms: Rooms) -> list[APIRoute]:
    """The routes that not anybody may call."""
    return [route for route in rooms.routes if permission_of(route) != OPEN]


@sizes("share", 0.02, 1.0)
def test_nobody_gets_anywhere_with_what_does_not_count(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong = random.Random(2), 0, []
    with believed(rooms.made) as issuer, tally.log("nobody.log").open("w", encoding="utf-8") as log:
        anybody = rooms.made.fresh()
        for name, shown in good(rooms.made, issuer).items():
            assert anybody.get("/api/v1/session", headers=shown).status_code == 200, f"a good {name} is believed"
        for name, shown in bad(rooms.made, issuer).items():
            for route in closed(rooms):
                if rng.random() > (share if name != "nothing" else max(share, 0.3)):
                    continue
                answer = asked(rooms, route, rooms.ours, rooms.ours).by(anybody, **shown)
                tried += 1
                log.write(f"{name}: {route.methods} {route.path} {answer.status_code}\n")
                if answer.status_code not in DENIED or any(word in answer.text for word in rooms.ours.values()):
                    wrong.append((name, route.path, answer.status_code, answer.text[:200]))
                anybody.cookies.clear()
    assert not wrong, wrong[:5]
    tally.tried("a route asked for with nothing, or with what does not count (any more)", tried, leaked=len(wrong))


@sizes("share", 0.05, 1.0)
def test_a_role_gets_where_it_may_alone(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong = random.Random(3), 0, []
    for role in ROLES:
        one: Any = rooms.made.client(role)
        for route in closed(rooms):
            needs: Any = permission_of(route)
            if needs == SELF or needs in GRANTED[role] or rng.random() > share:
                continue
            answer = asked(rooms, route, rooms.ours, rooms.ours).by(one)
            tried += 1
            if answer.status_code != 403 or any(word in answer.text for word in rooms.ours.values()):
                wrong.append((role, route.path, answer.status_code))
    assert not wrong, wrong[:5]
    tally.tried("a route asked for by somebody whose role does not have its permission", tried, leaked=len(wrong))


@sizes("share", 0.02, 1.0)
def test_a_key_gets_no_further_than_its_scopes(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong = random.Random(4), 0, []
    made, robot = rooms.made.client("admin"), rooms.made.fresh()
    for scope in ("study.read", "monitor.read", "trail.read", "job.read"):
        shown = bearer(made.post("/api/v1/keys", json={"name": "k", "scopes": [scope], "days": 1}).json()["key"])
        for route in closed(rooms):
            if permission_of(route) in (SELF, scope) or rng.random() > share:
                continue
            answer = asked(rooms, route, rooms.ours, rooms.ours).by(robot, **shown)
            tried += 1
            if answer.status_code != 403:
                wrong.append((scope, route.path, answer.status_code))
    assert not wrong, wrong[:5]
    tally.tried("a route asked for with a key that has another scope", tried, leaked=len(wrong))


@sizes("share", 0.02, 1.0)
def test_no_method_gets_around(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong = random.Random(5), 0, []
    anybody, before = rooms.made.fresh(), rooms.rows()
    known: dict[str, set[str]] = {}
    for route in rooms.routes:
        known.setdefault(route.path, set()).add(method_of(route))
    for route in closed(rooms):
        there = asked(rooms, route, rooms.theirs, rooms.ours).path
        for method in METHODS:
            if method in known[route.path] or rng.random() > share:
                continue
            real = method_of(route)
            odd = {"X-HTTP-Method-Override": real, "X-Method-Override": real, "X-HTTP-Method": real}
            for one in (anybody, rooms.made.client("admin")):
                answer = one.request(method, there, headers=odd, params={"_method": real}, follow_redirects=False)
                tried += 1
                # the address may be that of another route, too, as join is of a study
                elsewhere = one is not anybody and answer.status_code in (404, 422)
                if answer.status_code not in (401, 403, 405, 501) and not elsewhere:
                    wrong.append((method, route.path, answer.status_code))
    assert rooms.rows() == before
    assert not wrong, wrong[:5]
    tally.tried("a method that a route does not have, and headers that name another", tried, leaked=len(wrong))


@sizes("share", 0.02, 1.0)
def test_no_spelling_of_an_address_gets_around(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong, anybody = random.Random(6), 0, [], rooms.made.fresh()
    for route in closed(rooms):
        plain = asked(rooms, route, rooms.ours, rooms.ours)
        for path in spellings(plain.path):
            if rng.random() > share:
                continue
            answer = anybody.request(plain.method, path, follow_redirects=True)
            tried += 1
            open_pages = answer.url.path in ("/login", "/about") or answer.url.path.startswith("/documents")
            if (answer.is_success and not open_pages) or any(word in answer.text for word in rooms.ours.values()):
                wrong.append((path, answer.status_code, str(answer.url)))
    assert not wrong, wrong[:5]
    tally.tried("another spelling of a route's address", tried, leaked=len(wrong))


def spellings(path: str) -> tuple[str, ...]:
    """Ways to write an address that a careless comparison takes for another, and a careless server for the same."""
    head, _, tail = path.rpartition("/")
    return (
        f"{path}/", f"/{path}", f"/.{path}", f"/assets/..{path}", f"/documents/..{path}", f"{head}/./{tail}",
        f"{head}//{tail}", f"{path};x=1", f"{path}%20", f"{path}%2e", f"{path}.json", f"{path}%3Fa", path.upper(),
        path.replace("/", "%2f"), f"/%2e%2e{path}", f"/about/..;{path}", f"{path}#health", f"/health/..{path}",
        path.replace("/", "\\"), f"/assets/%2e%2e{path}", f"/login/%2e%2e{path}", f"/health%00{path}", f"{path}%0a",
    )  # fmt: skip


@sizes("share", 0.3, 1.0)
def test_the_plain_service_answers_no_one_without_its_key(tmp_path: Path, tally: Tally, share: float) -> None:
    rng, tried, wrong = random.Random(7), 0, []
    service = client(make(tmp_path), api_key=KEY)
    assert service.get("/model_info", headers={"X-API-Key": KEY}).status_code == 200
    odd: list[dict[str, str]] = [
        {}, {"X-API-Key": ""}, {"X-API-Key": KEY[:-1]}, {"X-API-Key": f"{KEY}x"}, {"X-API-Key": KEY.upper()},
        {"Authorization": f"Basic {KEY}"}, {"Authorization": KEY}, {"Cookie": f"X-API-Key={KEY}"},
        {"Authorization": "Bearer "}, {"Authorization": "Bearer x", "X-API-Key": KEY}, {"Api-Key": KEY},
        {"X-API-Key": "ü" * 16}, {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1"},
    ]  # fmt: skip
    for route in service.app.routes:  # type: ignore[attr-defined]
        for headers in odd:
            for method in sorted(route.methods):
                if route.path == "/health" or rng.random() > share:
                    continue
                sent = {k: v.encode("latin-1") for k, v in headers.items()}
                answer = service.request(method, route.path, headers=sent, params={"key": KEY, "api_key": KEY})  # type: ignore[arg-type]
                tried += 1
                if answer.status_code != 401:
                    wrong.append((method, route.path, headers, answer.status_code))
    assert not wrong, wrong[:5]
    tally.tried("a route of the plain service asked for without its key", tried, leaked=len(wrong))
