from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.capacity.loaded import script
from tests.house.walk import ROOT

plan, prices, words = script("capacity_plan"), script("capacity_costs"), script("capacity_words")


@pytest.fixture(scope="module")
def costs() -> Any:
    return json.loads((ROOT / "docs" / "results" / "study-cost.json").read_text(encoding="utf-8"))


def test_waits_are_told_without_those_that_were_refused() -> None:
    found = plan.told(np.array([1.0, 2.0, 3.0, np.nan]), 0.5)
    assert (found.middle, found.worst, found.load, found.refused) == (2.0, 3.0, 0.5, 0.25)


def test_a_study_costs_the_sum_of_its_parts(costs: Any) -> None:
    seconds = costs["seconds"]
    names = ("find", "read, JPEG-LS", "prepare", "engine, resnet50", "answer", "record", "between processes")
    assert prices.work_of(costs, "resnet50") == pytest.approx(sum(seconds[name] for name in names))
    more = prices.work_of(costs, "resnet50", "JPEG 2000") - prices.work_of(costs, "resnet50", "uncompressed")
    assert more == pytest.approx(seconds["read, JPEG 2000"] - seconds["read, uncompressed"])


def test_the_same_seed_gives_the_same_day(costs: Any) -> None:
    o = plan.options().parse_args(["--seed", "5"])
    one, two = (plan.studies(costs, o, 1_000, 1, "resnet18", "JPEG-LS") for _ in range(2))
    assert np.array_equal(one.arrival, two.arrival)
    assert np.array_equal(one.work, two.work)
    assert 850 < len(one.arrival) < 1_150


def test_the_page_holds_the_costs_that_lie_beside_it(costs: Any) -> None:
    told = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert costs["machine"] in " ".join(told.split()), "write the page again: make docs/scale.md"
    for network in prices.NETWORKS:
        assert f"**{prices.work_of(costs, network) * 1e3:,.0f}**" in told, "write the page again: make docs/scale.md"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.25, "250 ms"),
        (3.21, "3.2 s"),
        (75.0, "75 s"),
        (600.0, "10 min"),
        (7_200.0, "2.0 h"),
        (864_000.0, "10.0 days"),
    ],
)
def test_times_in_words(value: float, said: str) -> None:
    assert words.seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(120.0, "120 B"), (15.8e6, "15.8 MB"), (5.28e14, "528 TB"), (9.996e5, "1,000 kB")]
)
def test_bytes_in_words(value: float, said: str) -> None:
    assert words.size(value) == said


def test_prose_is_wrapped_and_tables_are_not() -> None:
    wide = "| " + "x " * 100 + "|"
    found = words.wrapped(["word " * 40, wide, "```", "y " * 100, "```"])
    assert [len(line) <= 120 for line in found] == [True, True, False, True, False, True]
    assert found[2] == wide
