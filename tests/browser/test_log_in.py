"""The way in and out, as somebody takes it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect
from tests.browser import steps
from tests.browser.conftest import Open, enter
from tests.browser.watched import Watch

pytestmark = [pytest.mark.browser, pytest.mark.serve]


def test_a_wrong_password_is_said_beside_the_form(context_of: Callable[..., BrowserContext], watch: Watch) -> None:
    watch.allow("status of 401")  # the browser reports the refusal itself
    page = context_of().new_page()
    page.goto("/login")
    page.get_by_label("Name").fill("reader")
    page.get_by_label("Password").fill("not the phrase at all")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("form .said")).to_contain_text("the name or the password is wrong")
    expect(page).to_have_url(re.compile("/login$"))
    enter(page, "reader")


def test_the_session_cookie_is_out_of_reach_of_scripts(page_as: Open) -> None:
    page = page_as("reader")
    (cookie,) = [one for one in page.context.cookies() if one["name"].endswith("insula")]
    assert cookie["name"] == "__Host-insula"
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert cookie["sameSite"] == "Strict"
    assert "insula=" not in page.evaluate("document.cookie")


def test_after_logging_out_nothing_is_open(page_as: Open, watch: Watch) -> None:
    page = page_as("reader")
    steps.log_out(page)
    page.goto("/worklist")
    expect(page).to_have_url(re.compile("/login"))
    assert page.request.get("/api/v1/studies").status == 401
