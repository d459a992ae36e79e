"""What every test of faults has."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.tally import Tally, place


@pytest.fixture
def tally(request: pytest.FixtureRequest, tmp_path: Path) -> Tally:
    """Where the tries of a test are written down; its group is the name of the test's file."""
    return Tally(place(tmp_path), request.path.stem.removeprefix("test_"))
