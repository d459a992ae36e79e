"""The PACS in a browser: what failed is tried again, and an answer is sent, by a click."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from tests.browser.clinic import Clinic
from tests.browser.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.serve]


def test_what_no_rule_took_is_tried_again(clinic: Clinic, page_of: Open) -> None:
    page = page_of("admin")
    page.goto("/pacs")
    row = page.get_by_role("row").filter(has_text="Knee")
    expect(row).to_contain_text("no rule takes it")
    row.get_by_role("button", name="Try again").click()
    expect(row).to_contain_text("waits to be taken")
    assert clinic.studies


def test_an_answer_is_sent_from_its_case(clinic: Clinic, page_of: Open) -> None:
    page = page_of("reviewer")
    page.goto(f"/studies/{clinic.studies['referred']}")
    part = page.locator("#case-pacs")
    part.get_by_role("heading", name="Sent to the PACS").click()
    expect(part).to_contain_text("Nothing of this answer was sent")
    part.get_by_label("Send this answer to").select_option("his")
    part.get_by_label("pictures").uncheck()
    part.get_by_role("button", name="Send to the PACS").click()
    expect(part.get_by_role("row").filter(has_text="his")).to_contain_text("waiting")
