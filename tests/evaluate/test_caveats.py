from __future__ import annotations

import numpy as np
import pytest
from tests.evaluate.made_tables import CLASSES, binary, binary_facts, facts

from insula.bundle.types import DecisionFacts
from insula.evaluate import caveats
from insula.evaluate.run import evaluate_table
from insula.metrics.calibration import fit_temperature


def decision(temperature: float = 1.0, conformal: tuple[float, ...] = (0.9, 0.9, 0.9)) -> DecisionFacts:
    return DecisionFacts({}, temperature, conformal)


def test_a_temperature_at_the_end_of_its_search_is_said() -> None:
    rng = np.random.default_rng(0)
    y = np.eye(3, dtype=bool)[rng.integers(0, 3, 300)]
    hottest = fit_temperature(rng.normal(0, 500, (300, 3)), y, "multiclass")
    (note,) = caveats.of_decision(decision(hottest), facts())
    assert note.startswith("The temperature (50) stands at the upper end")
    useful = fit_temperature(rng.normal(0, 1, (300, 3)) + 2 * y, y, "multiclass")
    assert caveats.of_decision(decision(useful), facts()) == []
    assert "lower end" in caveats.of_decision(decision(0.0201), facts())[0]


def test_a_class_that_stands_in_every_set_is_named() -> None:
    (note,) = caveats.of_decision(decision(conformal=(0.9, 1.0, 0.8)), facts())
    assert note.startswith(f"Every prediction set holds {CLASSES[1]}, whatever the scan")
    assert caveats.of_decision(decision(conformal=()), facts()) == []


@pytest.mark.parametrize(("full", "said"), [(0, False), (4, False), (5, True), (10, True)])
def test_sets_of_all_classes_are_counted_from_half_of_the_cases_on(full: int, said: bool) -> None:
    whole = [i < full for i in range(10)]
    table = binary([0, 1] * 5, [0.5] * 10, set_normal=[True] * 10, set_stroke=whole)
    notes = caveats.of_sets(table, binary_facts())
    assert bool(notes) is said
    if said:
        assert notes[0].startswith(f"{full} of 10 prediction sets (one a case) hold every class")
        assert notes[0] in evaluate_table(table, binary_facts(), 20).notes


def test_units_are_told_apart_where_patients_have_several_cases() -> None:
    assert caveats.of_units(["a", "b", "c"]) == []
    (note,) = caveats.of_units(["a", "a", "b"])
    assert "count 2 patients" in note
    assert "count 3 cases" in note
