"""What people do on the pages, in the words of the pages: drop a folder, send it, open a case, read it, log out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

PATIENCE_S = 20.0
UPLOAD_MS = 60_000  # of a real scan with its prediction, on a machine that is busy


_NOTE = """
() => {
  window.seen = new Set();
  const note = () => document.querySelectorAll('#cases .said').forEach((one) => window.seen.add(one.textContent));
  const how = { subtree: true, childList: true, characterData: true };
  new MutationObserver(note).observe(document.querySelector('#cases'), how);
}
"""


def drop(page: Page, target: str, paths: Sequence[Path]) -> None:
    """Drop files and folders on an element as from a file manager."""
    box = page.locator(target).bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    data = {"items": [], "files": [str(one) for one in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": x, "y": y, "data": data})
    session.detach()


def send(page: Page, scan: Path, patient: str) -> None:
    """From the worklist: upload a folder by dropping it, and watch until its answer is there."""
    page.get_by_role("link", name="Upload scans").click()
    drop(page, "#drop", [scan])
    case = page.locator("#cases > li")
    expect(case).to_have_count(1)
    case.get_by_label("Patient key").fill(patient)
    page.evaluate(_NOTE)
    page.get_by_role("button", name="Send 1 case").click()
    expect(case.locator(".said").first).to_contain_text("The answer is there", timeout=UPLOAD_MS)
    seen = page.evaluate("[...seen]")
    assert any("Sending" in one or "reading the scans" in one for one in seen), seen
    assert any("Predicting" in one or "waits for its turn" in one for one in seen), seen


def viewer(page: Page) -> Locator:
    """The viewer of a case page, once it draws slices from the volume by itself."""
    found = page.locator("#viewer")
    expect(found).to_have_attribute("data-state", "ready")
    expect(found).to_have_attribute("data-stage", "slices")
    return found


def eventually(page: Page, holds: Callable[[], bool]) -> None:
    """Wait, a frame at a time, until something holds that can be seen in pixels alone."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, "it did not come about"
        page.evaluate("() => new Promise(requestAnimationFrame)")


def slice_shown(page: Page) -> int:
    """The number of the axial slice that is shown."""
    found = re.search(r"Slice (\d+) of", page.locator('[data-count="2"]').inner_text())
    assert found
    return int(found[1])


def log_out(page: Page) -> None:
    """By the menu of the frame."""
    page.locator("header.bar summary").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("/login"))
