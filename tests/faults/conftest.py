"""What every test of faults has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.tally import Tally, place

if TYPE_CHECKING:
    from tests.faults.made_rooms import Rooms


@pytest.fixture
def tally(request: pytest.FixtureRequest, tmp_path: Path) -> Tally:
    """Where the tries of a test are written down; its group is the name of the test's file."""
    return Tally(place(tmp_path), request.path.stem.removeprefix("test_"))


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    """A service with two projects that are full of the same things."""
    from tests.faults.made_rooms import rooms as made

    with made(tmp_path_factory.mktemp("rooms")) as found:
        yield found
