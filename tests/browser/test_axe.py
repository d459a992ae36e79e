"""What holds for every page: axe finds nothing in either theme at either width, and nothing scrolls sideways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Page, expect
from tests.browser.clinic import Clinic
from tests.browser.conftest import Open
from tests.browser.pages import PAGES, Look
from tests.browser.watched import Watch

from insula.serve.web.frame import PAGE

pytestmark = [pytest.mark.browser, pytest.mark.serve]

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
async (rules) => {
  const found = await axe.run(document, { runOnly: { type: 'tag', values: rules }, resultTypes: ['violations'] });
  return found.violations.map((one) => `${one.id}: ${one.help}: `
    + one.nodes.slice(0, 4).map((node) => `${node.target} ${node.failureSummary}`).join(' | '));
}
"""
BEYOND = """
() => [...document.querySelectorAll('body *')]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .slice(0, 5).map((one) => `${one.tagName}.${one.className} ${one.textContent.trim().slice(0, 30)}`)
"""


@pytest.mark.parametrize("look", PAGES, ids=[one.name for one in PAGES])
def test_a_page(look: Look, clinic: Clinic, page_of: Open, watch: Watch) -> None:
    if look.status != 200:
        watch.allow(f"status of {look.status}")
    page = page_of(look.role, reduced_motion="reduce")
    page.add_init_script(path=AXE)
    answer = page.goto(look.address(clinic.places, clinic.studies))
    assert answer
    assert answer.status == look.status
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    settled(page)
    found = []
    for name, size in {"wide": WIDE, "phone": PHONE}.items():
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for theme in ("light", "dark"):
            turn(page, theme)
            found += [f"{name}, {theme}: {one}" for one in violations(page)]
        if page.evaluate("document.documentElement.scrollWidth") > size["width"]:
            found.append(f"{name}: scrolls sideways: {page.evaluate(BEYOND)}")
    assert not found, "\n".join(found)


def test_every_page_is_looked_at(clinic: Clinic) -> None:
    made = clinic.site.live.made.app
    there = {
        route.path
        for route in made.routes
        if isinstance(route, APIRoute)
        and route.response_class is PAGE["response_class"]
        and "GET" in (route.methods or ())
        if not route.path.startswith("/api/")
    }
    fragments = {"/worklist/rows"}  # parts of pages, put into them by their scripts
    assert there - fragments - {one.route for one in PAGES} == set()


def turn(page: Page, theme: str) -> None:
    """Choose a theme, as the menu does."""
    page.evaluate(
        "(theme) => { document.documentElement.dataset.theme = theme; document.dispatchEvent(new Event('theme')); }",
        theme,
    )


def settled(page: Page) -> None:
    """Wait until a page has loaded, and its viewer, where it has one, shows a slice."""
    page.wait_for_load_state("load")


def violations(page: Page) -> list[str]:
    """What axe has to say of a page as it is now."""
    found: Any = page.evaluate(RUN, RULES)
    return [str(one) for one in found]
