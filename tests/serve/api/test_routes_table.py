"""docs/api.md lists the routes as they are."""

from __future__ import annotations

import pytest
from scripts import routes_table

pytestmark = pytest.mark.serve


def test_the_page_is_that_of_today() -> None:
    text = routes_table.PAGE.read_text(encoding="utf-8")
    assert routes_table.page(text) == text, "run: python scripts/routes_table.py"
    assert "`POST /api/v1/studies`" in text
