"""A browser that looks at texts which would be tags and scripts: it shows them, and runs nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Dialog, expect
from tests.browser.clinic import Clinic
from tests.browser.conftest import Open
from tests.faults.made_planted import MARK, plant

pytestmark = [pytest.mark.browser, pytest.mark.serve]
RUN = f"() => document.querySelectorAll('{MARK}, img[src=x], [onerror]').length + ('{MARK}' in window ? 1 : 0)"


@pytest.fixture(scope="module")
def planted(clinic: Clinic) -> dict[str, str]:
    """The ids of a case that is full of such texts."""
    folder = clinic.site.scan("PLANTED")
    return plant(clinic.site.live.made, [path.read_bytes() for path in sorted(folder.iterdir())])


@pytest.mark.parametrize(
    ("role", "path", "shown"),
    [
        ("reviewer", "/worklist", True),
        ("reviewer", "/studies/{study_id}", True),
        ("reviewer", "/studies/{study_id}?prediction={prediction_id}", True),
        ("reader", "/history", True),
        ("reviewer", "/queue", False),
        ("reviewer", "/pacs", True),
        ("admin", "/people?text=planted", True),
        ("admin", "/projects", True),
        ("admin", "/account", True),
        ("admin", "/monitoring?model={bundle_id}", True),
        ("auditor", "/glass", True),
        ("auditor", "/trail", False),
        ("", f"/login?next=/%22%3E%3C{MARK}%3E&why=%3C{MARK}%3E", False),
        ("reader", f"/reference?q=%22%3E%3C{MARK}%3E%3Cscript%3E", True),
    ],
)
def test_a_planted_text_is_text(planted: dict[str, str], page_of: Open, role: str, path: str, shown: bool) -> None:
    page, dialogs = page_of(role, reduced_motion="reduce"), list[Dialog]()

    def told(one: Dialog) -> None:
        dialogs.append(one)
        one.dismiss()

    page.on("dialog", told)
    answer = page.goto(path.format(**planted))
    assert answer
    assert answer.status == 200
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    page.wait_for_load_state("networkidle")
    assert page.evaluate(RUN) == 0
    assert not dialogs
    if shown:
        assert MARK in page.content()
