"""The way in: what the log-in page says, where it leads, and how a refusal there looks."""

from __future__ import annotations

import pytest
from tests.serve.api.made import PASSWORD, Made
from tests.serve.web.reading import read

pytestmark = pytest.mark.serve


@pytest.mark.parametrize(
    ("query", "said", "next_page"),
    [
        ("", None, "/"),
        ("?why=out", "You are logged out.", "/"),
        ("?next=/history&why=ended", "Your session has ended. Log in again", "/history"),
        ("?next=/history", "shown to those who are logged in", "/history"),
        ("?why=again", None, "/login?why=again"),
        ("?why=<script>&next=//evil.example", None, "/"),
    ],
)
def test_the_page_says_why_one_is_there_and_leads_on(made: Made, query: str, said: str | None, next_page: str) -> None:
    client = made.fresh()
    page, text = read(client, f"/login{query}"), client.get(f"/login{query}").text
    assert f'data-next="{next_page}"' in text
    assert "<script>&" not in text
    sentences = ("logged out", "session has ended. Log in again", "shown to those")
    assert [one for one in sentences if one in page.text] == ([one for one in sentences if one in said] if said else [])


def test_who_logged_in_again_in_a_second_tab_is_sent_back_to_the_first(made: Made) -> None:
    page = read(made.client("reader"), "/login?why=again")
    assert "You are logged in as reader." in page.text
    assert "Go back to the tab that you came from" in page.text
    assert "password" not in page.fields


def test_a_session_that_has_ended_is_said_so_and_the_way_back_is_kept(made: Made) -> None:
    client = made.fresh()
    started = client.post("/api/v1/session", json={"name": "reader", "password": PASSWORD}).json()
    client.delete("/api/v1/session", headers={"X-CSRF-Token": started["csrf"]})
    client.headers["Cookie"] = "__Host-insula=of-yesterday"
    answer = client.get("/account?after=MQ", headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/account%3Fafter%3DMQ&why=ended"


def test_the_pages_name_their_reader_so_that_nothing_is_sent_for_somebody_else(made: Made) -> None:
    assert f'<meta name="reader" content="{made.ids["reader"]}">' in made.client("reader").get("/account").text
    assert '<meta name="reader" content="">' in made.fresh().get("/login").text


def test_a_refused_log_in_at_an_issuer_is_a_page_for_a_browser_and_a_problem_for_a_program(made: Made) -> None:
    path = "/api/v1/session/back/nowhere?code=x&state=y"
    page = read(made.fresh(), path, 401)
    assert "was not begun in this browser" in page.alert
    assert "/login" in page.links
    assert made.fresh().get(path).json()["code"] == "log_in_refused"
    assert "nowhere" in read(made.fresh(), "/api/v1/session/at/nowhere", 404).alert
