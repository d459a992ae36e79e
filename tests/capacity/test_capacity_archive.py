from __future__ import annotations

from typing import Any

import pytest
from tests.capacity.loaded import script

archive = script("capacity_archive")
NEVER = 1e9  # days


def site(cores: int = 4, store: float = 1e12, lost_after: float = NEVER, back_after: float = 0.0) -> Any:
    return archive.Site(cores, store, lost_after, back_after)


@pytest.mark.parametrize(
    ("work", "name", "seconds"),
    [((2.0, 1.0, 1e-6), "cores", 500.0), ((1e-6, 3e12, 1e-6), "store", 3000.0), ((1e-6, 1.0, 0.5), "driver", 500.0)],
)
def test_the_slowest_part_sets_the_time(work: tuple[float, ...], name: str, seconds: float) -> None:
    given = archive.Work(*work)
    assert archive.bound(1_000, given, site()) == (pytest.approx(seconds), name)
    spent, again = archive.run(1_000, given, site(), 1)
    assert spent == pytest.approx(seconds, rel=0.01)
    assert again == 0


def test_blocks_change_the_time_by_their_share_alone() -> None:
    given = archive.Work(2.0, 1e9, 1e-4)
    one, many = (archive.run(4_000, given, site(), block)[0] for block in (1, 20))
    assert many == pytest.approx(one, rel=0.03)


def test_lost_processes_cost_their_return_and_half_a_study_each() -> None:
    # a core is lost every 8640 s on average: 100,000 s of work are about 11.6 losses a core
    given = archive.Work(10.0, 0.0, 0.0)
    fine = archive.run(40_000, given, site(), 10)[0]
    spent, again = archive.run(40_000, given, site(lost_after=0.1, back_after=100.0), 10)
    assert fine == pytest.approx(100_000)
    assert 25 < again < 75
    assert spent == pytest.approx(fine + again / 4 * 105.0, rel=0.02)


def test_limits_stand_in_the_order_in_which_they_are_met() -> None:
    record = {"unit_bytes": 2_000, "known_bytes": 200, "most_bytes": 500, "open_seconds": 1e-5, "ray_seconds": 0.01}
    found = archive.limits(record, 64e9, 4e9)
    assert [one.studies for one in found] == sorted(one.studies for one in found)
    assert [round(one.studies) for one in found] == [8_640_000, 20_000_000, 32_000_000, 128_000_000, 360_000_000]
    assert len(archive.limits(record | {"ray_seconds": None}, 64e9, 4e9)) == 4
