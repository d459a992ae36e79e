from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from insula.cohort.associations import associations, groups
from insula.core.types import Case, Cohort, Scan


def _cohort(labels: Sequence[tuple[str, ...]], facts: Sequence[dict[str, str]], known: bool = True) -> Cohort:
    cases = tuple(
        Case(str(i), f"p{i}", {"ct": Scan((str(i),), "png")}, {"t": label}, fact)
        for i, (label, fact) in enumerate(zip(labels, facts, strict=True))
    )
    return Cohort(cases, "/", patient_ids=known)


def test_values_of_numbers_stand_in_their_order() -> None:
    rng = np.random.default_rng(0)
    labels = [("a",) if i % 2 else ("b",) for i in range(120)]
    facts = [{"age": f"{rng.uniform(20, 90):.5f}", "slices": str(rng.choice([9, 10, 100]))} for _ in labels]
    found = {a.attribute: list(a.table) for a in associations(_cohort(labels, facts))}
    assert found["slices"] == ["9", "10", "100"]
    low, middle, high = found["age"]
    assert (low[:6], middle[:6], high[:6]) == ("up to ", "up to ", "above ")
    assert float(low[6:]) < float(middle[6:]) == float(high[6:])


def test_attributes_beyond_the_table_and_those_that_are_measured() -> None:
    labels = [("a",) if i < 40 else ("b",) for i in range(80)]
    more = [{"JPEG quality": "75" if i < 40 else "95", "noise": "1" if i < 40 else "2"} for i in range(80)]
    quality, noise = associations(_cohort(labels, [{}] * 80), more, ("noise",))
    assert (quality.attribute, quality.measured, quality.strong) == ("JPEG quality", False, True)
    assert (noise.attribute, noise.measured, noise.strong) == ("noise", True, True)
    assert quality.table == {"75": {"a": 40, "b": 0}, "95": {"a": 0, "b": 40}}
    assert quality.sentence == "Cramér's V 1.00, p < 0.001"


def test_small_counts_are_tested_by_permutation() -> None:
    labels = [("a",)] * 5 + [("b",)] * 5
    facts = [{"site": name} for name in "nnnnsssssn"]
    (site,) = associations(_cohort(labels, facts))
    counts = [[row["a"], row["b"]] for row in site.table.values()]
    # Fisher's exact test by hand: C(5,4)*C(5,1)/C(10,5), the same on the other side, and the two extreme tables
    assert site.p_value == pytest.approx((2 * 25 + 2) / 252, abs=0.03)
    assert site.p_value > chi2_contingency(counts, correction=False).pvalue * 2


def test_a_shortcut_that_chance_makes_now_and_then_is_not_marked() -> None:
    marked = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = [(str(rng.choice(["a", "b"])),) for _ in range(60)]
        facts = [{"site": str(rng.choice(list("xyz"))), "sex": str(rng.choice(["F", "M"]))} for _ in labels]
        marked += sum(a.strong for a in associations(_cohort(labels, facts)))
    assert marked <= 1


def test_several_labels_are_compared_by_the_one_that_goes_with_all() -> None:
    sets = [(), ("any", "x"), ("any", "y"), ("any", "x", "y")]
    assert groups(_cohort(sets, [{}] * 4)) == ["none", "any", "any", "any"]
    assert groups(_cohort([(), ("x",), ("y",), ("x", "y")], [{}] * 4)) == ["none", "x", "y", "x+y"]
    many = [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
    assert set(groups(_cohort(many, [{}] * 8))) == {"none", "one label", "several labels"}
    assert groups(_cohort([("a",), ("b",)], [{}] * 2)) == ["a", "b"]


def test_unlabelled_cases_are_left_out() -> None:
    cohort = _cohort([("a",), ("b",), ("a",), ("b",)] * 10, [{"sex": "FM"[i % 2]} for i in range(40)])
    bare = Case("x", "x", {}, {}, {"sex": "other"})
    (sex,) = associations(Cohort((*cohort.cases, bare), "/"))
    assert set(sex.table) == {"F", "M"}
