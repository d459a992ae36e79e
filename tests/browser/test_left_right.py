"""The patient's right is on the left of every picture: one head with blood in its right half, from DICOM to paper."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import expect
from pypdf import PdfReader
from tests.browser import made_scans, steps
from tests.browser.conftest import Open
from tests.browser.pictures import head_of, pixels, sides
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.serve]

CLEAR = 5.0  # grey levels: the block makes up ten, noise less than one
STORED = pytest.mark.parametrize("flipped", [False, True], ids=["stored as usual", "stored flipped"])
MIDDLE = made_scans.SLICES // 2


def patient(flipped: bool) -> str:
    """One of each kind for all tests here."""
    return "RIGHT-FLIPPED" if flipped else "RIGHT"


@STORED
def test_slices_drawn_by_the_service(site: Site, flipped: bool) -> None:
    made = site.case(patient(flipped), flipped=flipped)
    with site.client() as client:
        plain = pixels(client.slice_png(made, "ct", MIDDLE))
        warm = pixels(client.slice_png(made, "ct", MIDDLE, "haemorrhage"))
    assert sides(plain).bright > CLEAR
    shape = plain.shape
    assert sides(warm[: shape[0], : shape[1]]).colour > CLEAR  # a colour bar stands beside the picture


def test_both_ways_of_storing_give_the_same_picture(site: Site) -> None:
    with site.client() as client:
        usual, flipped = (
            pixels(client.slice_png(site.case(patient(one), flipped=one), "ct", MIDDLE)) for one in (False, True)
        )
    assert np.abs(usual - flipped).mean() < 6.0  # of noise; mirrored it would be more than twenty


@STORED
def test_the_report_as_a_page(site: Site, page_as: Open, flipped: bool) -> None:
    made = site.case(patient(flipped), flipped=flipped)
    page = page_as("reviewer")
    page.goto(f"/api/v1/predictions/{made.id}/report?format=html")
    shots = page.locator(".shot")
    assert shots.count() >= 2
    for number in range(shots.count()):
        shot = shots.nth(number)
        picture = shot.locator("img")
        middle = _middle(picture)
        assert _middle(shot.get_by_text("R", exact=True)) < middle < _middle(shot.get_by_text("L", exact=True))
    assert sides(head_of(pixels(shots.first.locator("img").screenshot()))).bright > CLEAR


@STORED
def test_the_report_on_paper(site: Site, flipped: bool) -> None:
    made = site.case(patient(flipped), flipped=flipped)
    with site.client() as client:
        paper = PdfReader(io.BytesIO(client.report(made, "pdf")))
    shown = [
        np.asarray(one.image.convert("RGB"), np.float64) for page in paper.pages for one in page.images if one.image
    ]
    marked = [one for one in shown if min(one.shape[:2]) > 100]
    assert marked
    assert all(sides(one).bright > CLEAR or sides(one).colour > CLEAR for one in marked)
    marks: list[tuple[str, float]] = []
    for page in paper.pages:
        page.extract_text(visitor_text=lambda text, _, tm, *__: marks.append((text.strip(), tm[4])))
    right, left = ([x for text, x in marks if text == mark] for mark in ("R", "L"))
    assert right
    assert len(right) == len(left)
    assert all(r < x for r, x in zip(right, left, strict=True))


@STORED
@pytest.mark.parametrize("layout", ["One plane", "Three planes"])
def test_the_viewer(site: Site, page_of: Open, flipped: bool, layout: str) -> None:
    made = site.case(patient(flipped), flipped=flipped)
    page = page_of("reviewer")
    page.goto(f"/studies/{made.study_id}")
    shown = steps.viewer(page)
    if layout == "Three planes":
        shown.get_by_role("button", name=layout).click()
        expect(shown).to_have_attribute("data-stage", "planes")
    kind = shown.get_attribute("data-stage")
    stage, canvas = shown.locator(".viewer-stage"), shown.locator(f'canvas[data-canvas="{kind}"]')
    letters = {mark: stage.get_by_text(mark, exact=True).first for mark in ("R", "L")}
    if layout == "One plane":
        assert _middle(letters["R"]) < _middle(canvas) < _middle(letters["L"])
    shown.get_by_label("Show heat").set_checked(False)
    plain = first_plane(pixels(canvas.screenshot()), layout)
    assert sides(head_of(plain)).bright > CLEAR
    shown.get_by_label("Show heat").set_checked(True)
    expect(page.locator("#viewer-said")).to_contain_text("Heat for haemorrhage is shown")
    steps.eventually(page, lambda: sides(first_plane(pixels(canvas.screenshot()), layout)).colour > 1.0)


def first_plane(shown: NDArray[np.float64], layout: str) -> NDArray[np.float64]:
    """The axial plane of what the canvas shows, which is the upper one of three."""
    return shown if layout == "One plane" else shown[: int(0.65 * shown.shape[0])]


def _middle(found: object) -> float:
    box = found.bounding_box()  # type: ignore[attr-defined]
    assert box
    return float(box["x"] + box["width"] / 2)
