"""A case from the first click to the last: dropped, watched, read, overridden, on paper, found again, out of reach."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader
from tests.browser import steps
from tests.browser.conftest import Open
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.serve]

GE = Path(__file__).parents[3] / "shared/data/ct_dicom/In/GE"


def test_a_phantom(site: Site, page_as: Open) -> None:
    journey(page_as("reviewer"), site.scan("JOURNEY", 0.45), "JOURNEY")


@pytest.mark.data
@pytest.mark.skipif(not GE.is_dir(), reason="the real scans are not here")
def test_a_real_head_ct(page_as: Open) -> None:
    journey(page_as("reviewer"), GE, "REAL-GE")


def journey(page: Page, scan: Path, patient: str) -> None:
    """What a reviewer does with a scan."""
    steps.send(page, scan, patient)
    page.get_by_role("link", name="Open the case").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(patient)
    shown = steps.viewer(page)

    stage = shown.locator(".viewer-stage")
    stage.hover()
    first = steps.slice_shown(page)
    page.mouse.wheel(0, 120)
    expect(page.locator('[data-count="2"]')).not_to_contain_text(f"Slice {first} of")
    stage.focus()
    page.keyboard.press("Home")
    expect(page.locator('[data-count="2"]')).to_contain_text("Slice 1 of")
    page.keyboard.press("ArrowDown")
    expect(page.locator('[data-count="2"]')).to_contain_text("Slice 2 of")

    heat = shown.get_by_label("Show heat")
    said = page.locator("#viewer-said")
    heat.set_checked(True)
    expect(said).to_contain_text(re.compile("Heat for .* is shown"))
    heat.set_checked(False)
    expect(said).to_contain_text("No heat is shown")

    verdict(page)
    read_paper(page, patient)

    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_label("Part of the patient's key").fill(patient)
    page.get_by_role("button", name="Show", exact=True).click()
    row = page.get_by_role("row").filter(has_text=patient)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("disagreed")
    row.get_by_role("link", name=patient).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(patient)
    address = page.url

    steps.log_out(page)
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("body")).not_to_contain_text(patient)
    page.goto(address)
    expect(page).to_have_url(re.compile("/login"))
    expect(page.locator("body")).not_to_contain_text(patient)


def test_three_planes_and_back(site: Site, page_of: Open) -> None:
    page = page_of("reviewer")
    page.goto(f"/studies/{site.case('READ-ONLY').study_id}")
    shown = steps.viewer(page)
    shown.get_by_role("button", name="Three planes").click()
    expect(shown).to_have_attribute("data-stage", "planes")
    expect(shown.get_by_label("Coronal")).to_be_visible()
    shown.get_by_role("button", name="One plane").click()
    expect(shown).to_have_attribute("data-stage", "slices")


def verdict(page: Page) -> None:
    """Say something else than the model did, with a signature."""
    form = page.locator("#case-review-form")
    form.get_by_role("radio", name="Override").check()
    form.get_by_label("Your label").or_(form.locator("[data-label-of]:not([hidden]) select")).first.select_option(
        index=1
    )
    form.get_by_label("Comment").fill("Seen on the slices above.")
    form.get_by_label("Signature").fill("Rita Reviewer")
    form.get_by_role("button", name="Sign and send").click()
    said = page.locator(".case-said")
    expect(said).to_contain_text("Rita Reviewer")
    expect(said).to_contain_text("Seen on the slices above.")


def read_paper(page: Page, patient: str) -> None:
    """Download the report and read the patient's key in it."""
    with page.expect_download() as download:
        page.get_by_role("link", name="PDF, English").click()
    assert download.value.suggested_filename.endswith(".pdf")
    data = Path(download.value.path()).read_bytes()
    assert data.startswith(b"%PDF-")
    text = "".join(one.extract_text() for one in PdfReader(io.BytesIO(data)).pages)
    assert patient in text


def test_a_reader_does_not_review(site: Site, page_as: Open) -> None:
    made = site.case("READ-ONLY")
    page = page_as("reader")
    page.goto(f"/studies/{made.study_id}")
    expect(page.get_by_role("heading", level=1)).to_contain_text("READ-ONLY")
    expect(page.get_by_text("Your role reads cases and does not review them")).to_be_visible()
    expect(page.locator("#case-review-form")).to_have_count(0)
    expect(page.get_by_role("link", name="To read")).to_have_count(0)
    answer = page.request.post(
        f"/api/v1/studies/{made.study_id}/reviews",
        headers={"X-CSRF-Token": page.locator('meta[name="csrf"]').get_attribute("content") or ""},
        data={"target": "haemorrhage", "verdict": "agree", "signature": "Somebody", "prediction": made.id},
    )
    assert answer.status == 403
    assert answer.json()["code"] == "forbidden"
