"""A live service with a worker, Debian's Chromium before it, and a watch over everything that its pages do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect, sync_playwright
from tests.browser.clinic import Clinic, furnish
from tests.browser.made_bundle import make
from tests.browser.site import Site, opened
from tests.browser.watched import Watch
from tests.serve.api.made import PASSWORD

from insula.serve.web.assets import is_built

# WebGL by software: what shows the slices needs a graphics card or this
ARGUMENTS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
PATIENCE_MS = 20_000
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    if not is_built():
        pytest.fail("The scripts of the pages were not built; run: make web")
    found = shutil.which("chromium")
    if found is None:
        said = "There is no Chromium here; run: scripts/system-packages browser"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(said)
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=found, args=list(ARGUMENTS))
        yield made
        made.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service whose bundle finds bright blood, with one worker."""
    folder = Path(tmp_path_factory.mktemp("site"))
    make(folder / "models" / "second", prior=3.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSULA_PACS_PEERS", "archive=dicom://ARCHIVE@127.0.0.1:1 his=mllp://127.0.0.1:1")
        with opened(folder, make(folder / "bundle"), models=folder / "models", runs=folder / "runs") as found:
            yield found


@pytest.fixture(scope="session")
def clinic(site: Site) -> Clinic:
    """The service in use, for pages that should not be empty."""
    return furnish(site, site.folder / "models", site.folder / "runs")


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    """What the browser does in this test; looked at when it is over."""
    made = Watch(site.host)
    yield made
    made.check()


@pytest.fixture
def context_of(browser: Browser, site: Site, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """Make a browser of its own, without cookies, that is watched; options as of Playwright."""
    contexts: list[BrowserContext] = []

    def make_one(**options: Any) -> BrowserContext:
        plain = {"base_url": site.address, "viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}
        made = browser.new_context(**{**plain, **options})
        made.set_default_timeout(PATIENCE_MS)
        watch.over(made)
        contexts.append(made)
        return made

    yield make_one
    for one in contexts:
        one.close()


@pytest.fixture(scope="session")
def entered(browser: Browser, site: Site) -> Callable[[str], StorageState]:
    """The cookies of somebody who has logged in once for all tests that only look."""

    @cache
    def cookies(name: str) -> StorageState:
        context = browser.new_context(base_url=site.address)
        enter(context.new_page(), name)
        found = context.storage_state()
        context.close()
        return found

    return cookies


@pytest.fixture
def page_of(context_of: Callable[..., BrowserContext], entered: Callable[[str], StorageState]) -> Open:
    """A page of somebody who is in already, NOBODY included: for tests that neither log in nor out."""

    def open_one(name: str, **options: Any) -> Page:
        return context_of(**options, **({"storage_state": entered(name)} if name else {})).new_page()

    return open_one


@pytest.fixture
def page_as(context_of: Callable[..., BrowserContext]) -> Open:
    """Log somebody in by the log-in page, in a browser of their own: `page_as("reader")`."""

    def log_in(name: str, **options: Any) -> Page:
        page = context_of(**options).new_page()
        enter(page, name)
        return page

    return log_in


def enter(page: Page, name: str, password: str = PASSWORD) -> None:
    """Log in by the page, and wait until the first place is there."""
    page.goto("/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(lambda address: "/login" not in address)
    expect(page.locator("header.bar summary")).to_have_text(name)
