"""What is of another project answers as what is not there, and is in no answer to anybody else.

Every address that names a row is asked for with a row of the other project and with one that nobody has: the two
answers are the same but for the name. Left out are what a role manages for the whole service (people, projects, the
trail) and break-glass, which is there to open a study of others and is told.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fastapi.routing import APIRoute
from pydicom.uid import generate_uid
from tests.faults.made_asked import Asked, asked, said
from tests.faults.made_rooms import MARKS, Rooms
from tests.faults.tally import Tally, sizes

from insula.serve.api.guard import permission_of
from insula.serve.people.roles import GRANTED, ROLES

pytestmark = pytest.mark.serve
WHOLE = {"user.manage", "project.manage", "trail.read", "glass.break"}
UIDS = ("study", "series", "instance", "workitem")
PAGE, DATA = {"Accept": "text/html"}, {"Accept": "application/json, application/dicom+json;q=0.9, */*;q=0.1"}


def nobodys(like: Mapping[str, str]) -> dict[str, str]:
    """Names of the same form that nothing has."""
    made = {name: str(generate_uid()) if name in UIDS else secrets.token_hex(16) for name in like if name != "api_key"}
    return {**made, "api_key": ""}


def probes(rooms: Rooms, route: APIRoute) -> Iterator[tuple[Asked, dict[str, str], Asked, dict[str, str]]]:
    """The same request for theirs and for nobody's: all ids, and each alone among one's own."""
    theirs, absent = dict(rooms.theirs), nobodys(rooms.theirs)
    first, second = asked(rooms, route, theirs, rooms.ours), asked(rooms, route, absent, rooms.ours)
    if not first.names:
        return
    yield first, theirs, second, absent
    for name in first.names if len(first.names) > 1 else ():
        one, other = {**rooms.ours, name: theirs[name]}, {**rooms.ours, name: absent[name]}
        yield asked(rooms, route, one, rooms.ours), one, asked(rooms, route, other, rooms.ours), other


def concerned(rooms: Rooms, role: Any) -> list[APIRoute]:
    """The routes that a role gets into."""
    found = []
    for route in rooms.routes:
        needs: Any = permission_of(route)
        if needs not in WHOLE and needs in {"self", *GRANTED[role]}:
            found.append(route)
    return found


@sizes("share", 0.1, 1.0)
def test_not_yours_answers_as_not_there(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, before, wrong, tried = random.Random(1), rooms.rows(), [], 0
    with tally.log("not-yours.log").open("w", encoding="utf-8") as log:
        for role in ROLES:
            client = rooms.made.client(role)
            for route in concerned(rooms, role):
                for first, theirs, second, absent in probes(rooms, route):
                    if rng.random() > share:
                        continue
                    accept = PAGE if "/api/" not in route.path and route.path[:4] != "/dic" else DATA
                    answers = [first.by(client, **accept), second.by(client, **accept)]
                    ids = [{k: v for k, v in one.items() if v} for one in (theirs, absent)]
                    same = said(answers[0], ids[0]) == said(answers[1], ids[1])
                    tried += 1
                    here = f"{role} {first.method} {first.path}"
                    log.write(f"{here} {sorted(first.names)} {[a.status_code for a in answers]} {same}\n")
                    if not same or answers[0].status_code == 500:
                        wrong.append((here, said(answers[0], ids[0]), said(answers[1], ids[1])))
    if rooms.rows() != before:
        wrong.append(("a row of the other project has changed", (0, {}, ""), (0, {}, "")))
    assert not wrong, wrong[:3]
    tally.tried("a row of another project asked for, beside one that nobody has", tried, leaked=len(wrong))


@sizes("share", 0.1, 1.0)
def test_no_answer_holds_a_word_of_the_other_project(rooms: Rooms, tally: Tally, share: float) -> None:
    rng, tried, wrong, seen = random.Random(12), 0, [], 0
    hidden = [*MARKS, *(value for name, value in rooms.theirs.items() if name not in ("project_id", "user_id"))]
    theirs = rooms.made.client("stranger").get(f"/studies/{rooms.theirs['study_id']}", headers=PAGE).text
    assert all(word in theirs for word in MARKS[:2]), "who may does see them"
    for role in ROLES:
        client = rooms.made.client(role)
        for route in concerned(rooms, role):
            if route.methods != {"GET"} or route.path.endswith("/events") or rng.random() > share:
                continue
            answer = asked(rooms, route, rooms.ours, rooms.ours).by(client, Accept="text/html, */*")
            tried, seen = tried + 1, seen + answer.is_success
            found = [word for word in hidden if word.encode() in answer.content]
            wrong += [(role, route.path, found)] if found else []
    assert seen > tried / 2, "most are answered"
    assert not wrong, wrong[:5]
    tally.tried("an answer of one's own project, searched for any word of the other", tried, leaked=len(wrong))
