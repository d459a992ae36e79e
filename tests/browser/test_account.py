"""Forms of people and the own account in a browser: what is refused, what is shown once, what a lost session keeps."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from tests.browser import steps
from tests.browser.conftest import Open, enter
from tests.browser.site import Site
from tests.browser.watched import Watch
from tests.serve.api.made import PASSWORD

from insula.client import Client

pytestmark = [pytest.mark.browser, pytest.mark.serve]


def again(page: Page, name: str) -> None:
    """Log in in the second tab to which a form has led."""
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("main")).to_contain_text(f"You are logged in as {name}. Go back to the tab")


def test_a_refused_field_is_marked_described_and_focused_until_it_is_changed(page_as: Open, watch: Watch) -> None:
    watch.allow("status of 422")
    page = page_as("admin")
    page.goto("/people/new")
    page.get_by_label("Name to log in with").fill("freshly")
    field = page.get_by_role("textbox", name="Password")
    field.fill("password1234")
    page.get_by_role("button", name="Let in").click()
    said = page.locator("form .said")
    expect(said).to_contain_text("tried first")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("12 to 128 characters.*tried first", re.DOTALL))
    page.get_by_role("button", name="Suggest one").click()
    expect(field).not_to_have_attribute("aria-invalid", "true")
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", field.input_value())
    page.get_by_role("button", name="Let in").click()
    page.wait_for_url(re.compile("/people/[0-9a-f]{32}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("freshly")


def test_a_key_is_shown_once_and_counts(site: Site, context_of: Callable[..., BrowserContext]) -> None:
    site.person("keyed", "reader", site.live.made.inside)
    page = context_of().new_page()
    enter(page, "keyed")
    page.goto("/account")
    page.get_by_text("Make a key").click()
    page.get_by_label("What it is for").fill("nightly")
    page.get_by_role("button", name="Make the key").click()  # which nothing was chosen for
    expect(page.locator("[data-shown]")).to_be_hidden()
    page.get_by_label("see studies").check()
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("[data-shown]")).to_be_focused()
    key = page.get_by_label("Key", exact=True).input_value()
    with Client(site.address, key) as robot:
        assert [one.name for one in robot.projects()] == ["Inside"]
    page.get_by_role("button", name="I have kept it").click()
    row = page.get_by_role("row", name=re.compile("nightly"))
    expect(row).to_contain_text("study.read")
    assert key not in page.content()
    page.on("dialog", lambda asked: asked.accept())
    row.get_by_role("button", name="End the key nightly").click()
    expect(row).to_contain_text("ended ")


def test_what_was_typed_outlives_the_session_and_is_sent_for_its_writer_alone(
    site: Site, context_of: Callable[..., BrowserContext], watch: Watch
) -> None:
    watch.allow("status of 401", "status of 403")
    for name in ("boss", "other"):
        site.person(name, "admin", site.live.made.inside)
    page = context_of().new_page()
    enter(page, "boss")
    page.goto("/projects")
    page.get_by_label("Name of a new project").fill("Typed before")
    elsewhere = page.context.new_page()
    elsewhere.goto("/account")
    steps.log_out(elsewhere)
    expect(elsewhere.locator("main")).to_contain_text("You are logged out.")
    elsewhere.close()

    send, said = page.get_by_role("button", name="Make it"), page.locator("form .said")
    send.click()
    expect(said).to_contain_text("What you typed is still here")
    with page.context.expect_page() as opened:
        said.get_by_role("link", name="Log in in another tab").click()
    tab = opened.value
    again(tab, "other")
    send.click()
    expect(said).to_contain_text("Somebody else has logged in")
    steps.log_out(tab)
    expect(tab.locator("main")).to_contain_text("You are logged out.")
    tab.goto("/login?why=again")
    again(tab, "boss")
    send.click()
    page.wait_for_url(re.compile("/projects/[0-9a-f]{32}$"))
    expect(page.get_by_role("heading", level=1)).to_have_text("Typed before")
