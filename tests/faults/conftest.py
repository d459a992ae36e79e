"""What every test of faults has."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.faults.tally import PLACE, End, Tally, place, write

if TYPE_CHECKING:
    from tests.faults.made_rooms import Rooms

# read at once: a test may stand in another folder, or have changed the environment, when it ends
ENDS = Path(os.environ[PLACE]).resolve() if os.environ.get(PLACE) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write down how a test ended, also where that was before it wrote a row: in a fixture, or by its time."""
    report = yield
    if ENDS is not None and (report.when == "call" or not report.passed):
        told = report.longrepr
        reason = str(told[2]).removeprefix("Skipped: ") if report.skipped and isinstance(told, tuple) else ""
        write(ENDS, "end", End(report.nodeid, report.outcome, reason))
    return report


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
