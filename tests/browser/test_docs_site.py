"""The docs site from the disk: nothing is asked of another machine, search finds, dark and light."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect
from tests.capacity.loaded import script

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, made strictly; its folder."""
    if find_spec("sphinx") is None:
        pytest.fail("Sphinx is not installed; run: make .venv/.docs")
    folder = Path(tmp_path_factory.mktemp("docs")) / "site"
    maker = script("docs_site")
    maker.build(folder)
    assert list(maker.fetched_from_elsewhere(folder)) == []
    return folder


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may read the disk alone; what it asks of anything else fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="dark")
    asked: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            asked.append(request.url)

    context.on("request", note)
    yield context.new_page()
    context.close()
    assert asked == []


@pytest.mark.parametrize(
    "name", ["index.html", "docs/index.html", "docs/tutorials/stroke-ct.html", "docs/reference/cli.html", "README.html"]
)
def test_a_page_asks_nothing_of_another_machine(page: Page, made: Path, name: str) -> None:
    page.goto((made / name).as_uri())
    page.wait_for_load_state("load")
    expect(page.locator("h1").first).to_be_visible()


def test_search_works_from_the_disk(page: Page, made: Path) -> None:
    page.goto(f"{(made / 'search.html').as_uri()}?q=haemorrhage")
    expect(page.locator("#search-results li").first).to_be_visible()
    assert page.locator("#search-results li").count() > 3


def test_links_of_the_contents_lead_on(page: Page, made: Path) -> None:
    page.goto((made / "docs" / "index.html").as_uri())
    links = page.locator(".sidebar-tree a.internal")
    assert links.count() > 60
    page.locator(".sidebar-tree a.internal", has_text="Five minutes").click()
    expect(page).to_have_title("Five minutes - Insula " + script("docs_site").version())
