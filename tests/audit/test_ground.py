from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.audit.made_looks import Looks, ground, head, middle

from insula.audit.ground import Ground
from insula.evaluate.table import by_patient


def on(positive: list[bool], patients: list[str] | None = None) -> Ground:
    volume = head(0, size=24, slices=1)
    return ground(positive, [volume] * len(positive), middle, patients=patients)


def test_so_many_patients_are_drawn_half_of_them_positive_where_that_can_be() -> None:
    made = on([True] * 30 + [False] * 70)
    for most, positives in ((20, 10), (80, 30), (99, 30), (7, 3)):
        some = made.some(most, "x")
        assert len(some) == most
        assert sum(int(name[1:]) < 30 for name in some) == positives
    assert made.some(100) == made.some(5000) == frozenset(c.patient for c in made.cases)
    assert len(on([True] * 90 + [False] * 10).some(50)) == 50
    assert made.some(20, "x") == made.some(20, "x") != made.some(20, "y")
    assert len(on([True] * 9).some(4)) == 4


def test_answers_before_and_after_are_of_the_cases_answered_after_one_row_a_patient() -> None:
    made = on([True, True, False, False], ["a", "a", "b", "c"])
    columns = {"x/normal": [0.6, np.nan, 0.9, np.nan], "x/stroke": [0.4, np.nan, 0.1, np.nan]}
    before, after = made.changed(pd.DataFrame(columns), "x")
    assert before.keys.tolist() == after.keys.tolist() == ["a", "b"]
    assert made.scores(after).tolist() == [0.4, 0.1]
    assert made.scores(before).tolist() == made.scores(made.rows)[[0, 2]].tolist()
    assert made.positive(before).tolist() == [True, False]
    both = pd.DataFrame({"x/normal": [0.6, 0.2, 0.9, 0.5], "x/stroke": [0.4, 0.8, 0.1, 0.5]})
    assert made.scores(made.changed(both, "x")[1]).tolist() == pytest.approx([0.6, 0.1, 0.5])  # the mean of a patient
    none = made.changed(pd.DataFrame({"x/normal": [np.nan] * 4, "x/stroke": [np.nan] * 4}), "x")
    assert [len(one.keys) for one in none] == [0, 0]


def test_a_refused_scan_gives_nan_in_every_class() -> None:
    made = on([True, False])
    looks = made.predictor
    assert isinstance(looks, Looks)
    scans = looks.read(made.cases[0], made.root)
    p = middle(scans["ct"][0])
    assert made.columns(made.cases[0], scans, "x") == pytest.approx({"x/normal": 1 - p, "x/stroke": p})
    looks.refuses = lambda volume: True
    assert made.predict(made.cases[0], scans) is None
    assert all(np.isnan(v) for v in made.columns(made.cases[0], scans, "x").values())


def test_the_last_sights_are_kept_and_only_these() -> None:
    made, volumes = on([True, False]), [head(i, size=24, slices=1) for i in range(6)]
    first = made.sight(volumes[0])
    assert made.sight(volumes[0]) is first
    assert made.sight(replace(volumes[0])) is not first  # another scan of the same array
    for volume in volumes[1:]:
        made.sight(volume)
    assert made.sight(volumes[0]) is not first


def test_patients_are_pooled_as_the_policy_says() -> None:
    made = on([True, True, False], ["a", "a", "b"])
    assert np.array_equal(made.patients.p, by_patient(made.rows, made.facts)[0].p)
    assert made.called(made.patients).shape == (2,)
