"""From a request's headers to a caller: one credential, its rights, its token against forged requests."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, update
from tests.serve.people.issuer import LocalIssuer
from tests.serve.people.made import MINUTE, NOW, SETTINGS, person, project, study

from insula.serve.faults import RequestError
from insula.serve.people import glass, keys, sessions, user, users
from insula.serve.people.authenticate import authenticate, authenticate_again
from insula.serve.people.caller import Caller
from insula.serve.people.credentials import credential_of, facts_of
from insula.serve.people.sessions import Started
from insula.serve.people.settings import PeopleSettings
from insula.serve.people.tokens import Verifier
from insula.serve.store import schema
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve
Headers = dict[str, str] | list[tuple[str, str]]


def ask(
    records: Engine,
    headers: Headers,
    method: str = "GET",
    after: timedelta = timedelta(),
    verifier: Verifier | None = None,
    settings: PeopleSettings = SETTINGS,
) -> Caller:
    pairs = list(headers.items()) if isinstance(headers, dict) else headers
    return authenticate(records, facts_of(method, pairs), NOW + after, settings, verifier or Verifier(settings.issuers))


def refused(
    records: Engine, headers: Headers, method: str = "GET", verifier: Verifier | None = None
) -> tuple[int, str]:
    with pytest.raises(RequestError) as got:
        ask(records, headers, method, verifier=verifier)
    return got.value.status, got.value.fault_code


def cookie(session: Started) -> dict[str, str]:
    return {"Cookie": f"theme=dark; __Host-insula={session.secret}"}


@pytest.fixture
def ann(records: Engine) -> user.User:
    with writing(records) as connection:
        heads = project(connection, "Heads")
        return users.create(connection, "ann", "reviewer", NOW, projects_in=[heads])


@pytest.fixture
def session(records: Engine, ann: user.User) -> Started:
    with writing(records) as connection:
        return sessions.start(connection, ann.id, NOW, SETTINGS)


@pytest.fixture
def key(records: Engine, ann: user.User) -> str:
    with writing(records) as connection:
        return keys.create(connection, ann.id, "k", ["study.read"], NOW + timedelta(days=9), NOW).shown


def test_a_session_is_a_caller_with_the_projects_and_all_the_role_may(
    records: Engine, ann: user.User, session: Started
) -> None:
    got = ask(records, cookie(session))
    assert got == Caller(ann.id, "ann", "reviewer", ann.projects, "session", session_id=session.id)
    assert got.may("review.write")
    assert not got.may("user.manage")


def test_a_key_may_what_its_scopes_and_its_owner_may(records: Engine, ann: user.User, key: str) -> None:
    for headers in ({"Authorization": f"Bearer {key}"}, {"authorization": f"bearer  {key} "}, {"X-API-Key": key}):
        got = ask(records, headers, "POST")  # no page can make a browser send it, so no token is asked for
        assert (got.user_id, got.how, got.scopes) == (ann.id, "key", frozenset({"study.read"}))
        assert got.may("study.read")
        assert not got.may("review.read")
    with writing(records) as connection:
        users.change(connection, ann.id, NOW, role="auditor", projects_in=[])
    got = ask(records, {"X-API-Key": key})
    assert not got.may("study.read")
    assert got.projects == frozenset()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post", "TRACE", "MADE-UP"])
def test_an_unsafe_request_of_a_session_shows_its_token(records: Engine, session: Started, method: str) -> None:
    shown = cookie(session)
    assert refused(records, shown, method) == (403, "csrf")
    assert refused(records, {**shown, "X-CSRF-Token": session.secret}, method) == (403, "csrf")
    with writing(records) as connection:
        other = sessions.start(connection, session.user_id, NOW, SETTINGS)
    assert refused(records, {**shown, "X-CSRF-Token": other.csrf}, method) == (403, "csrf")
    twice = [*shown.items(), ("X-CSRF-Token", other.csrf), ("X-CSRF-Token", session.csrf)]
    assert refused(records, twice, method) == (403, "csrf")
    assert ask(records, {**shown, "X-CSRF-Token": session.csrf}, method).session_id == session.id
    of_form = facts_of(method, shown.items(), csrf_field=session.csrf)
    assert authenticate(records, of_form, NOW, SETTINGS, Verifier([])).session_id == session.id


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_needs_no_token(records: Engine, session: Started, method: str) -> None:
    assert ask(records, cookie(session), method).session_id == session.id


def test_nobody_is_let_in_without_a_good_credential(records: Engine, session: Started, key: str) -> None:
    wrong: list[Headers] = [
        {},
        {"Cookie": "theme=dark"},
        {"Cookie": f"insula={session.secret}"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": key},
        {"X-API-Key": ""},
        {"X-API-Key": session.secret},
        {"Authorization": f"Bearer {key[:-1]}"},
    ]
    for headers in wrong:
        assert refused(records, headers) == (401, "unauthorised"), headers
    assert refused(records, {"Cookie": "__Host-insula="}) == (401, "session_ended")
    assert refused(records, {"Authorization": f"Bearer {session.secret}"}) == (401, "bad_token")


def test_two_credentials_are_refused_though_both_are_good(records: Engine, session: Started, key: str) -> None:
    shown = list(cookie(session).items())
    for more in (
        [("Authorization", f"Bearer {key}")],
        [("X-API-Key", key)],
        [("Authorization", "Bearer a.b.c")],
        [("Cookie", "__Host-insula=planted")],
        shown,
    ):
        assert refused(records, shown + more) == (401, "two_credentials")
    assert refused(records, [("X-API-Key", key), ("X-API-Key", key)]) == (401, "two_credentials")
    assert refused(records, [("X-API-Key", key), ("Authorization", f"Bearer {key}")]) == (401, "two_credentials")


def test_sessions_end_and_are_kept_alive_by_requests(records: Engine, session: Started) -> None:
    for minutes in (29, 58):
        assert ask(records, cookie(session), after=minutes * MINUTE)
    with pytest.raises(RequestError, match="log in again") as got:
        ask(records, cookie(session), after=88 * MINUTE)
    assert (got.value.status, got.value.fault_code) == (401, "session_ended")


def test_who_is_switched_off_is_out_with_whatever_they_show(
    records: Engine, ann: user.User, session: Started, key: str
) -> None:
    with writing(records) as connection:  # by another hand than `users.change`, which ends both
        connection.execute(update(schema.users).values(active=False))
    assert refused(records, cookie(session)) == (403, "inactive")
    assert refused(records, {"X-API-Key": key}) == (403, "inactive")


def test_the_use_of_a_key_is_written_down(records: Engine, ann: user.User, key: str) -> None:
    ask(records, {"X-API-Key": key})
    ask(records, {"X-API-Key": key}, after=MINUTE / 2)
    with reading(records) as connection:
        assert [k.used_at for k in keys.page(connection, ann.id)] == [NOW]


def test_broken_glass_is_the_persons_and_not_the_keys(
    records: Engine, ann: user.User, session: Started, key: str
) -> None:
    with writing(records) as connection:
        other = study(connection, project(connection, "Necks"))
        glass.break_glass(connection, ask_caller(ann), other, "the neurologist on call asked for it", NOW)
    assert ask(records, cookie(session)).opened == {other}
    assert ask(records, {"X-API-Key": key}).opened == frozenset()


def ask_caller(found: user.User) -> Caller:
    return Caller(found.id, found.name, found.role, found.projects, "session")


def test_a_token_of_a_linked_person_has_the_role_that_it_gives(
    records: Engine, ann: user.User, issuer: LocalIssuer
) -> None:
    verifier = Verifier([issuer.settings()])
    headers = {"Authorization": f"Bearer {issuer.token(roles=['boss'])}"}
    assert refused(records, headers, verifier=verifier) == (403, "no_account")
    with writing(records) as connection:
        users.link(connection, ann.id, issuer.address, "person-1")
    got = ask(records, headers, "DELETE", verifier=verifier)
    assert (got.user_id, got.role, got.how, got.projects) == (ann.id, "admin", "token", ann.projects)
    nothing = {"Authorization": f"Bearer {issuer.token(roles=['stranger'])}"}
    assert refused(records, nothing, verifier=verifier) == (403, "no_role")
    with writing(records) as connection:
        users.change(connection, ann.id, NOW, active=False)
    assert refused(records, headers, verifier=verifier) == (403, "inactive")


def test_people_are_made_at_first_sight_only_where_the_setting_says_so(records: Engine, issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(create_users=True)])
    with writing(records) as connection:
        root = person(connection, "root", "admin")

    def shown(**claims: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {issuer.token(**claims)}"}

    assert refused(records, shown(roles="stranger"), verifier=verifier) == (403, "no_role")
    first = ask(records, shown(preferred_username="Root", email="root@x.example", name="R\0"), verifier=verifier)
    again = ask(records, shown(preferred_username="changed"), verifier=verifier)
    assert first.user_id == again.user_id != root.id
    assert (first.name, first.role, first.projects) == ("root@local", "reviewer", frozenset())
    other = ask(records, shown(sub="person-2", preferred_username="Root"), verifier=verifier)
    third = ask(records, shown(sub="person-3", preferred_username="<script>"), verifier=verifier)
    assert len({first.user_id, other.user_id, third.user_id}) == 3
    assert all(c.name.endswith("@local") and len(c.name) == 22 for c in (other, third))
    with reading(records) as connection:
        assert [u.has_password for u in user.page(connection)] == [False] * 4
        assert user.find(connection, first.user_id).full_name == ""


def test_a_first_sight_by_many_requests_at_once_makes_one_user(records: Engine, issuer: LocalIssuer) -> None:
    verifier = Verifier([issuer.settings(create_users=True)])
    headers = {"Authorization": f"Bearer {issuer.token(preferred_username='eve')}"}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(records, headers, verifier=verifier).user_id, range(8)))
    assert len(set(found)) == 1
    with reading(records) as connection:
        assert len(user.page(connection)) == 1


def test_a_token_counts_once_where_the_setting_says_so(records: Engine, ann: user.User, issuer: LocalIssuer) -> None:
    with writing(records) as connection:
        users.link(connection, ann.id, issuer.address, "person-1")
    verifier = Verifier([issuer.settings(single_use=True)])
    headers = [{"Authorization": f"Bearer {issuer.token(jti=f'j{n}')}"} for n in range(2)]
    for shown in headers:
        assert ask(records, shown, verifier=verifier).user_id == ann.id
        assert refused(records, shown, verifier=verifier) == (401, "bad_token")
    assert refused(records, {"Authorization": f"Bearer {issuer.token()}"}, verifier=verifier) == (401, "bad_token")
    again = Verifier([issuer.settings()])
    assert ask(records, headers[0], verifier=again).user_id == ann.id
    # what expired long ago is forgotten, but not what a clock that was put forward for a while has let expire
    for days, kept in ((2, 3), (10, 1)):
        at = int(NOW.timestamp()) + 86400 * days
        late = {"Authorization": f"Bearer {issuer.token(jti=f'late-{days}', iat=at, exp=at + 60)}"}
        assert ask(records, late, after=timedelta(days=days), verifier=verifier)
        with reading(records) as connection:
            assert connection.execute(select(func.count()).select_from(schema.token_uses)).scalar_one() == kept
        if days == 2:  # and the clock is right again
            assert refused(records, headers[0], verifier=verifier) == (401, "bad_token")


def test_a_token_that_is_shown_many_times_at_once_counts_once(
    records: Engine, ann: user.User, issuer: LocalIssuer
) -> None:
    with writing(records) as connection:
        users.link(connection, ann.id, issuer.address, "person-1")
    verifier = Verifier([issuer.settings(single_use=True)])
    headers = {"Authorization": f"Bearer {issuer.token(jti='once')}"}

    def code(_: int) -> str:
        try:
            return ask(records, headers, verifier=verifier).user_id
        except RequestError as error:
            return error.fault_code

    with ThreadPoolExecutor(4) as pool:
        found = sorted(pool.map(code, range(8)))
    assert found == sorted([ann.id, *["bad_token"] * 7])


_NAMES = st.sampled_from(["Cookie", "Authorization", "X-API-Key", "X-CSRF-Token", "Accept"])
_VALUES = st.text(max_size=40) | st.sampled_from(["Bearer ins_x_y", "Bearer a.b.c", "__Host-insula=a; __Host-insula=b"])


@given(st.lists(st.tuples(_NAMES, _VALUES), max_size=4))
def test_any_headers_are_one_credential_or_a_401(headers: list[tuple[str, str]]) -> None:
    facts = facts_of("GET", headers)
    status = 0
    try:
        assert credential_of(facts, SETTINGS).how in ("session", "key", "token")
    except RequestError as error:
        status = error.status
    assert status in (0, 401)
    shown = sum(name in ("Authorization", "X-API-Key") for name, _ in headers)
    assert status == 401 or shown <= 1


def test_whoever_is_still_being_answered_is_asked_for_again_and_nothing_is_noted(
    records: Engine, ann: user.User, session: Started, key: str, issuer: LocalIssuer
) -> None:
    with writing(records) as connection:
        users.link(connection, ann.id, issuer.address, "person-1")
    verifier = Verifier([issuer.settings(single_use=True)])
    shown = {
        "session": cookie(session),
        "key": {"Authorization": f"Bearer {key}"},
        "token": {"Authorization": f"Bearer {issuer.token(jti='j1')}"},
    }
    before = {how: ask(records, one, verifier=verifier) for how, one in shown.items()}

    def again(how: str, after: timedelta = timedelta()) -> Caller:
        facts = facts_of("GET", list(shown[how].items()))
        return authenticate_again(records, facts, before[how], NOW + after, SETTINGS, verifier)

    def seen() -> list[Any]:
        with reading(records) as connection:
            return [*connection.execute(select(schema.sessions)), *connection.execute(select(schema.api_keys))]

    was = seen()
    assert {how: again(how, 2 * MINUTE) for how in shown} == before
    assert seen() == was, "it prolongs no session"
    with writing(records) as connection:
        users.change(connection, ann.id, NOW, active=False)
    for how in shown:
        with pytest.raises(RequestError):
            again(how)
