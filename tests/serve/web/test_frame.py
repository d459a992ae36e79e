from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError
from starlette.responses import HTMLResponse
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.serve.api.guard import Acting, Routes, is_quiet, permission_of
from insula.serve.people.roles import ROLES
from insula.serve.web import routes as web
from insula.serve.web.frame import PAGE as OPTIONS
from insula.serve.web.frame import PLACES, POLICY, environment, page

pytestmark = pytest.mark.serve
PAGE = {"accept": "text/html"}


def navigation(text: str) -> list[str]:
    nav = re.search(r"<nav aria-label=\"[^\"]*\">\s*<ul>.*?</ul>", text, re.DOTALL)
    return re.findall(r'<a href="(/[^"]*)"', nav[0]) if nav else []


def test_nobody_sees_no_navigation_and_no_token(made: Made) -> None:
    text = made.fresh().get("/about", headers=PAGE).text
    assert navigation(text) == []
    assert '<meta name="csrf" content="">' in text
    assert '<meta name="reader" content="">' in text
    assert 'href="/login"' in text
    assert 'href="/account"' not in text


@pytest.mark.parametrize(("language", "said"), [("en", "Log in"), ("de", "Anmelden")])
def test_first_hour_the_way_in_stands_in_the_open_on_each_public_page(made: Made, language: str, said: str) -> None:
    way = f'<a class="button main" href="/login">{said}</a>'
    for path, count in (("/", 2), ("/about", 2), ("/privacy", 1), ("/documents", 1), ("/login", 0)):
        text = made.fresh().get(path, headers={**PAGE, "accept-language": language}).text
        assert text.count(way) == count, path
        assert not count or text.index(way) < text.index('<details class="menu">'), path
    assert way not in made.client("reader").get("/about", headers={**PAGE, "accept-language": language}).text


@pytest.mark.parametrize("role", ROLES)
def test_somebody_sees_the_places_that_are_open_to_the_role(made: Made, role: Any) -> None:
    client = made.client(role)
    text = client.get("/about", headers=PAGE).text
    me = client.get("/api/v1/session").json()
    assert navigation(text) == [one.path for one in PLACES if one.needs in me["permissions"]]
    assert f'<meta name="csrf" content="{me["csrf"]}">' in text
    for path in navigation(text):
        answer = client.get(path, headers=PAGE)
        assert answer.status_code == 200, path
        assert f'<a href="{path}" aria-current="page">' in answer.text, path


@pytest.mark.parametrize("role", ROLES)
def test_the_start_is_the_first_place_of_the_role(made: Made, role: Any) -> None:
    client = made.client(role)
    answer = client.get("/", headers=PAGE, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == navigation(client.get("/about", headers=PAGE).text)[0]


def test_the_start_of_nobody_is_what_this_is(made: Made) -> None:
    assert made.fresh().get("/", headers=PAGE, follow_redirects=False).headers["location"] == "/about"


@pytest.mark.parametrize(
    ("cookie", "theme"), [("", "auto"), ("dark", "dark"), ("light", "light"), ('"><script>', "auto"), ("Dark", "auto")]
)
def test_the_theme_is_the_one_that_was_chosen_here(made: Made, cookie: str, theme: str) -> None:
    text = made.fresh().get("/about", headers={**PAGE, "cookie": f"insula-theme={cookie}"}).text
    assert f'data-theme="{theme}"' in text
    assert f'value="{theme}" data-theme-choice checked' in text
    assert text.count("data-theme-choice checked") == 1


def test_the_language_is_the_one_that_was_chosen_here_or_the_browsers(made: Made) -> None:
    for headers, spoken in (
        ({}, "en"),
        ({"accept-language": "de-CH,fr;q=0.5"}, "de"),
        ({"accept-language": "de", "cookie": "insula-language=en"}, "en"),
        ({"cookie": "insula-language=de"}, "de"),
    ):
        answer = made.fresh().get("/login", headers={**PAGE, **headers})
        assert f'<html lang="{spoken}"' in answer.text
        assert ("Anmelden" in answer.text) == (spoken == "de")
        assert answer.headers["vary"] == "Cookie, Accept-Language"


def test_a_page_runs_scripts_of_its_own_alone_and_is_framed_by_nobody(made: Made) -> None:
    answer = made.client("admin").get("/about", headers=PAGE)
    policy = answer.headers["content-security-policy"]
    assert policy == POLICY
    for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    for name in ("x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy"):
        assert name in answer.headers
    assert not re.search(r"<script(?![^>]*(?:src=\"/assets/|type=\"application/json\"))", answer.text)
    assert not re.search(r"\son\w+=|style=", answer.text)
    assert "set-cookie" not in answer.headers


def test_every_page_names_a_permission_and_those_of_patients_are_told(made: Made) -> None:
    pages = [route for router in web.routers(made.service) for route in router.routes]
    assert len(pages) > 15
    assert all(permission_of(route) for route in pages)
    assert all(set(getattr(route, "methods", ())) <= {"GET", "HEAD"} for route in pages), "a page changes nothing"
    for route in pages:
        if permission_of(route) in ("study.read", "study.write", "review.write", "trail.read"):
            assert not is_quiet(route) or "upload" in str(getattr(route, "path", "")), route


def test_a_name_that_a_template_was_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        environment("en").from_string("{{ not_given }}").render()
    assert environment("en").from_string("{{ given }}").render(given="<b>") == "&lt;b&gt;"


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A service with a page about patients that tells the trail of nothing, and one that does."""
    folder = Path(tmp_path_factory.mktemp("forgetful"))
    with service(make(folder, unit="series"), f"sqlite:///{folder}/i.db", folder) as found:
        added = Routes(found.service, "", "pages")

        @added.get("/forgetful", "study.read", **OPTIONS)
        def forgets(acting: Acting) -> HTMLResponse:
            return page(acting, "about.html", models=[], modalities={}, figures={}, may_what=[])

        @added.get("/mindful", "study.read", **OPTIONS)
        def minds(acting: Acting) -> HTMLResponse:
            with acting.read("study.list"):
                pass
            return page(acting, "about.html", models=[], modalities={}, figures={}, may_what=[])

        found.app.router.routes.extend(added.router.routes)
        yield found


def test_a_page_that_told_nobody_is_held_back(forgetful: Made) -> None:
    client = forgetful.client("reader")
    held = client.get("/forgetful", headers=PAGE)
    assert held.status_code == 500
    assert "What this is" not in held.text
    assert client.get("/mindful", headers=PAGE).status_code == 200
    turned_away = forgetful.fresh().get("/forgetful", headers=PAGE, follow_redirects=False)
    assert turned_away.status_code == 303
