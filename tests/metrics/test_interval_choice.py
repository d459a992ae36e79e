from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from insula.metrics import interval_choice

_BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
_PAGE = Path(__file__).parents[2] / "docs" / "results" / "intervals.md"


@pytest.fixture(scope="module")
def simulation() -> ModuleType:
    spec = importlib.util.spec_from_file_location("coverage_of_intervals", _BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("several", [False, True])
def test_intervals_hold_the_truth_of_made_patients_about_as_often_as_they_say(
    simulation: ModuleType, several: bool
) -> None:
    tallies = simulation.simulate(simulation.WORLDS[0], several, 60, 60, seed=1)
    chosen = {name: tally for (name, method), tally in tallies.items() if method == "chosen"}
    assert set(interval_choice.CHOICE) - set(chosen) == ({"c_index"} if several else set())
    for name, tally in chosen.items():
        assert tally.coverage >= 0.83, name  # of 60 samples at 95%, fewer than 50 hold the truth once in 5,000 times
        assert tally.given >= 0.9 * tally.asked, name
    assert tallies["ece", "percentile"].coverage < 0.5  # which is why it has another interval


def test_the_page_names_each_figure_with_its_interval() -> None:
    page = _PAGE.read_text()
    for name, choice in interval_choice.CHOICE.items():
        assert f"| {name} | {interval_choice.SAID[choice.form]} |" in page, f"write the page again: {name}"


def test_what_is_said_where_an_interval_falls_short_is_what_the_page_says() -> None:
    page = _PAGE.read_text(encoding="utf-8").split("## The intervals that are reported")[1].split("\n\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([\d.]+) to ([\d.]+) \|$", page, re.MULTILINE)
    told = {name: (float(low), float(high)) for name, low, high in rows}
    assert set(interval_choice.CHOICE) <= set(told)
    assert dict(interval_choice.COVERED) == {name: ends for name, ends in told.items() if ends[0] < 93.0}
    noted = {name for name, choice in interval_choice.CHOICE.items() if choice.note}
    assert noted == set(interval_choice.COVERED) - {"difference of ROC-AUC"}  # which the page of a comparison says
