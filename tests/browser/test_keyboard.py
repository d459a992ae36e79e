"""Everything is reached by the Tab key, in the order in which it stands on the page, and is seen when it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from tests.browser import steps
from tests.browser.clinic import Clinic
from tests.browser.conftest import Open

pytestmark = [pytest.mark.browser, pytest.mark.serve]

MOST = 250
# what can be tabbed to; of radio buttons with one name the keys of the group lead to the others
WANTED = """
() => {
  const all = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  const groups = new Set();
  window.wanted = [...document.querySelectorAll(all)].filter((one) => {
    if (one.disabled || one.tabIndex < 0 || !one.checkVisibility({ visibilityProperty: true })) return false;
    if (one.type === 'radio') {
      const name = `${one.form?.id}/${one.name}`;
      if (groups.has(name)) return false;
      groups.add(name);
    }
    return true;
  });
  window.reached = [];
  document.body.tabIndex = -1;
  document.body.focus(); // from where Tab begins anew
  return wanted.length;
}
"""
STEP = """
() => {
  const now = document.activeElement;
  if (!now || now === document.body) return 'out';
  const last = reached.at(-1);
  if (reached.includes(now)) return now.type === 'radio' || now.type === 'date' || now === last ? 'on' : 'out';
  reached.push(now);
  const name = `${now.tagName} ${now.id} ${now.textContent.trim().slice(0, 30)}`;
  if (last && !(last.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING)) return `out of order: ${name}`;
  const look = getComputedStyle(now), frame = getComputedStyle(now, '::after');
  const framed = frame.content !== 'none' && frame.borderTopStyle === 'solid';
  if (look.outlineStyle === 'none' && look.boxShadow === 'none' && !framed) return `not seen: ${name}`;
  return 'on';
}
"""
MISSED = """
() => wanted.filter((one) => !reached.includes(one))
  .filter((one) => one.type !== 'radio' || !reached.some((other) => other.name === one.name))
  .map((one) => `${one.tagName} ${one.id} ${one.textContent.trim().slice(0, 30)}`)
"""


def walk(page: Page) -> None:
    """Tab through a page once."""
    assert page.evaluate(WANTED) > 5
    for _ in range(MOST):
        page.keyboard.press("Tab")
        said = page.evaluate(STEP)
        if said == "out":
            break
        assert said == "on", said
    else:
        pytest.fail(f"the page has more than {MOST} stops")
    assert page.evaluate(MISSED) == []


def test_log_in(page_of: Open) -> None:
    page = page_of("")
    page.goto("/login")
    expect(page.get_by_label("Name")).to_be_focused()
    walk(page)


def test_worklist(clinic: Clinic, page_of: Open) -> None:
    assert clinic.studies
    page = page_of("reviewer")
    page.goto("/worklist")
    walk(page)


def test_case(clinic: Clinic, page_of: Open) -> None:
    page = page_of("reviewer")
    page.goto(f"/studies/{clinic.studies['accepted']}")
    steps.viewer(page)
    walk(page)


def test_the_first_stop_leads_past_the_navigation(clinic: Clinic, page_of: Open) -> None:
    assert clinic.studies
    page = page_of("reviewer")
    page.goto("/worklist")
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
