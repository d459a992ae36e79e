from __future__ import annotations

import pytest
from tests.serve.api.made import Made

from insula.serve.web.errors import onward

pytestmark = pytest.mark.serve
PAGE = {"accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(
    "address",
    ["/", "/worklist", "/cases/0123?tab=review#x", "/history?patient=P%2F1&next=/x", "/a/../b", "/%0a"],
)
def test_the_way_on_after_logging_in_is_within_the_service(address: str) -> None:
    assert onward(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "worklist",
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/a\\b",
        "javascript:alert(1)",
        "/\nworklist",
        "/\t/evil.example",
        " /worklist",
        "/" + "x" * 2000,
        "http:/worklist",
        "@evil.example",
        "//[",
        "http://[",
    ],
)
def test_and_never_elsewhere(address: str) -> None:
    assert onward(address) == "/"


def test_a_browser_that_is_nobody_is_sent_to_the_log_in_and_told_where_it_wanted_to_go(made: Made) -> None:
    answer = made.fresh().get("/history?patient=P-1&after=x", headers=PAGE, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/history%3Fpatient%3DP-1%26after%3Dx"


def test_a_program_that_is_nobody_is_refused_as_json(made: Made) -> None:
    for path in ("/worklist", "/api/v1/studies"):
        answer = made.fresh().get(path, headers={"accept": "application/json"}, follow_redirects=False)
        assert answer.status_code == 401, path
        assert answer.headers["content-type"].endswith("json"), path
        assert "www-authenticate" in answer.headers, path
    browser = made.fresh().get("/api/v1/studies", headers=PAGE, follow_redirects=False)
    assert browser.status_code == 401
    assert browser.headers["content-type"] == "application/problem+json"


def test_what_is_not_there_is_a_page_that_leads_back(made: Made) -> None:
    answer = made.fresh().get("/no/such/<b>page</b>", headers=PAGE)
    assert answer.status_code == 404
    assert "<h1>Not here</h1>" in answer.text
    assert 'href="/"' in answer.text
    assert "<b>page" not in answer.text
    assert made.fresh().get("/nothing", headers={**PAGE, "accept-language": "de"}).text.count("Nicht hier") == 1
    program = made.fresh().get("/nothing")
    assert program.json()["error"]["code"] == "not_found"


def test_what_one_may_not_see_is_a_page_that_says_so(made: Made) -> None:
    answer = made.client("reader").get("/trail", headers=PAGE)
    assert answer.status_code == 403
    assert "<h1>Not for you</h1>" in answer.text
    assert "trail.read" in answer.text
    assert "reader" in answer.text  # still in the frame of who is logged in


def test_a_refusal_of_what_was_sent_is_no_redirect(made: Made) -> None:
    answer = made.fresh().post("/worklist", headers=PAGE, follow_redirects=False)
    assert answer.status_code == 405
    assert "Refused" in answer.text


def test_each_form_of_a_refusal_leads_to_the_page_that_explains_its_code(made: Made) -> None:
    page = made.fresh().get("/nothing", headers=PAGE).text
    place = "/documents/errors#not_found"
    assert f'<a href="{place}">not_found</a>' in page
    problem = made.client("reader").get("/api/v1/studies/" + "0" * 32).json()
    assert (problem["code"], problem["type"]) == ("not_found", place)
    assert made.fresh().get("/nothing").json()["error"]["see"] == "insula docs errors#not_found"
    assert 'id="not_found"' in made.fresh().get(place, headers=PAGE).text


def test_an_odd_address_to_go_on_to_is_no_fault_of_the_service(made: Made) -> None:
    for odd in ("//[", "http://["):
        assert made.fresh().get("/login", params={"next": odd}, headers=PAGE).status_code == 200, odd
