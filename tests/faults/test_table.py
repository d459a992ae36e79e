"""The table of what was tried says what its rows say."""

from __future__ import annotations

import pytest
from scripts import reliability
from tests.faults.tally import Rates, Tries


@pytest.mark.parametrize(
    ("goal", "refused", "flagged", "taken", "said"),
    [
        ("100% refused: the header is enough", 60, 0, 0, "yes"),
        ("100% refused: the header is enough", 59, 1, 0, "**no**"),
        ("95% refused or flagged: it looks unlike any head", 40, 17, 3, "yes"),
        ("95% refused or flagged: it looks unlike any head", 40, 16, 4, "**no**"),
        ("at least 80% taken: 5% are expected beyond the limit", 3, 8, 49, "yes"),
        ("none: a head looks much the same from both sides", 0, 0, 60, "–"),
        ("", 0, 0, 60, "–"),
    ],
)
def test_a_goal_that_is_missed_is_marked(goal: str, refused: int, flagged: int, taken: int, said: str) -> None:
    row = Rates("wrong_inputs", "knees", 60, refused, flagged, taken, goal)
    assert reliability.met(row) == said
    assert f"| {said} | {goal} |" in reliability.tables([], [row])


def test_groups_have_headings_that_can_be_read() -> None:
    made = reliability.tables([Tries("http", "requests", 3), Tries("brute_force", "guesses", 2)], [])
    assert "### HTTP\n" in made
    assert "### Brute force\n" in made
