from __future__ import annotations

import json
from typing import Any

from tests.capacity.loaded import script

made = script("benchmarks_page")


def test_the_page_is_what_was_kept() -> None:
    kept: dict[str, Any] = json.loads(made.KEPT.read_text(encoding="utf-8")) if made.KEPT.is_file() else {}
    assert set(kept) <= set(made.names())
    assert made.PAGE.read_text(encoding="utf-8") == made.page(kept), "run: python scripts/benchmarks_page.py"


def test_every_benchmark_says_what_it_asks_and_a_missed_goal_is_said() -> None:
    assert len(made.names()) > 15
    assert [name for name in made.names() if not made.asked(name).endswith(".")] == []
    last = {"figures": {"x": 2.5}, "goals": {"x": 1.0}, "holds": False, "cores": 2, "load": 0.4, "day": "2026-01-31"}
    assert "a goal missed: x 2.5 (goal 1)" in made.page({"bombs": last})
