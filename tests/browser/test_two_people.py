"""Two people of two projects: what one sees is never of the other, at the same time or after one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from tests.browser import steps
from tests.browser.conftest import Open, enter
from tests.browser.site import Site
from tests.browser.watched import Watch

from insula.client.answers import Prediction

pytestmark = [pytest.mark.browser, pytest.mark.serve]

LISTS = ("/worklist", "/history", "/queue")


@dataclass(frozen=True)
class One:
    """Somebody with a case."""

    login: str
    patient: str
    case: Prediction

    @property
    def page(self) -> str:
        return f"/studies/{self.case.study_id}"

    @property
    def records(self) -> tuple[str, ...]:
        base = f"/api/v1/predictions/{self.case.id}"
        pictures = f"{base}/scans/ct"
        return (
            *(f"{base}/report?format={name}" for name in ("html", "pdf", "json", "fhir")),
            f"{base}/summary",
            f"{pictures}/slices/1",
            f"{pictures}/slices/1?class=haemorrhage",
            f"{pictures}/scan.nii.gz",
            f"{pictures}/heat.nii.gz?class=haemorrhage",
            f"/api/v1/studies/{self.case.study_id}",
            base,
        )


@pytest.fixture
def both(site: Site) -> tuple[One, One]:
    return (
        One("reviewer", "ALPHA-ONE", site.case("ALPHA-ONE")),
        One("stranger", "BETA-TWO", site.case("BETA-TWO", blood=0.45, of="stranger")),
    )


def test_at_the_same_time(both: tuple[One, One], page_as: Open, watch: Watch) -> None:
    watch.allow("status of 404")  # the other's case is not there
    pages = [page_as(one.login) for one in both]
    for _ in range(2):  # in turn, so that a service that kept something for one would give it to the other
        for path in LISTS:
            for page in pages:
                page.goto(path)
            for one, other, page in ((both[0], both[1], pages[0]), (both[1], both[0], pages[1])):
                expect(page.locator("main")).to_contain_text(one.patient)
                expect(page.locator("main")).not_to_contain_text(other.patient)
    for one, other, page in ((both[0], both[1], pages[0]), (both[1], both[0], pages[1])):
        sees(page, one)
        closed(page, other)


def test_one_after_another_in_one_browser(
    both: tuple[One, One], context_of: Callable[..., BrowserContext], watch: Watch
) -> None:
    watch.allow("status of 404")
    first, second = both
    page = context_of().new_page()
    enter(page, first.login)
    for path in (*LISTS, first.page):
        page.goto(path)
        expect(page.locator("main")).to_contain_text(first.patient)
    steps.log_out(page)
    enter(page, second.login)
    for _ in range(5):  # back through the pages of whoever was here before
        page.go_back()
        expect(page.locator("main")).to_be_visible()
        expect(page.locator("body")).not_to_contain_text(first.patient)
    closed(page, first)
    sees(page, second)


def sees(page: Page, one: One) -> None:
    """The case page and everything of the case."""
    page.goto(one.page)
    expect(page.get_by_role("heading", level=1)).to_contain_text(one.patient)
    for address in one.records:
        assert page.request.get(address).status == 200, address


def closed(page: Page, other: One) -> None:
    """Neither the page of the other's case, by its address, nor anything of it."""
    answer = page.goto(other.page)
    assert answer
    assert answer.status == 404
    expect(page.locator("body")).not_to_contain_text(other.patient)
    for address in other.records:
        found = page.request.get(address)
        assert found.status == 404, address
        assert other.patient.encode() not in found.body()
