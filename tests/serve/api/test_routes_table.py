"""docs/api.md and docs/reference/rest.md list the routes as they are."""

from __future__ import annotations

import pytest
from scripts import routes_table
from tests.capacity.loaded import script

pytestmark = pytest.mark.serve


def test_the_page_is_that_of_today() -> None:
    text = routes_table.PAGE.read_text(encoding="utf-8")
    assert routes_table.page(text) == text, "run: python scripts/routes_table.py"
    assert "`POST /api/v1/studies`" in text


def test_the_reference_has_every_operation_with_what_it_says_of_itself() -> None:
    assert script("reference").stale(("rest.md",)) == [], "run: python scripts/reference.py"
    made = script("reference_rest")
    silent = [one.path for _, one in made.operations(made.described()) if not any(one.lines)]
    assert silent == []
