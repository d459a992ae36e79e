from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.evaluate.scripted import case

from insula.bundle.patients import hash_patient
from insula.bundle.types import Bundle
from insula.core.recipe import OperatingPoint
from insula.evaluate import known, tuned
from insula.metrics.thresholds import choose

Make = Callable[..., Bundle]
YOUDEN = OperatingPoint(youden=True)


def sample(n: int = 60, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    return y, 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 1.5 * y - 0.7)))


def test_a_threshold_chosen_on_patients_who_stand_here_fails(tiny_bundle: Make) -> None:
    bare = known.of_bundle(tiny_bundle())
    cases = [case("a", "q1"), case("b", "q2")]
    assert tuned.stored(replace(bare, chosen_on=frozenset()), cases).verdict == "cannot tell"
    others = replace(bare, chosen_on=frozenset({hash_patient(bare.salt, "q9")}))
    assert tuned.stored(others, cases).verdict == "pass"
    mine = replace(bare, chosen_on=frozenset(hash_patient(bare.salt, q) for q in ("q2", "q9")))
    found = tuned.stored(mine, cases)
    assert (found.verdict, found.evidence) == ("fail", ("b",))
    assert found.finding == "the threshold was chosen on 1 of the 2 patients here"


@pytest.mark.parametrize("aim", [YOUDEN, OperatingPoint(sensitivity=0.9), OperatingPoint(specificity=0.8)])
def test_a_replaced_threshold_that_is_the_best_on_these_patients_fails(aim: OperatingPoint) -> None:
    y, p = sample()
    best = choose(y, p, aim)
    found = tuned.replaced(0.99, best, y, p, (aim,), "stroke")
    assert found is not None
    assert found.verdict == "fail"
    assert "best one on these very patients" in found.finding
    rounded = tuned.replaced(0.99, float(np.nextafter(best, 0)), y, p, (aim,), "stroke")
    assert rounded is not None
    assert rounded.verdict == "fail"  # it answers alike, whatever its last digits


def test_a_replaced_threshold_of_unknown_origin_cannot_be_told() -> None:
    y, p = sample()
    found = tuned.replaced(0.99, float(np.sort(p)[5]), y, p, (YOUDEN,), "stroke")
    assert found is not None
    assert found.verdict == "cannot tell"
    assert "nothing says how it was chosen" in found.finding


def test_a_threshold_that_changes_no_answer_replaces_nothing() -> None:
    y, p = sample()
    best = choose(y, p, YOUDEN)
    assert tuned.replaced(best, float(np.nextafter(best, 0)), y, p, (YOUDEN,), "stroke") is None


def test_no_best_threshold_without_both_classes() -> None:
    p = np.array([0.1, 0.6, 0.8])
    for y in (np.zeros(3, bool), np.ones(3, bool)):
        found = tuned.replaced(0.5, 0.7, y, p, (YOUDEN,), "stroke")
        assert found is not None
        assert found.verdict == "cannot tell"


def test_foreign_thresholds() -> None:
    y, p = sample()
    best = choose(y, p, YOUDEN)
    assert tuned.foreign({}, y, p, "stroke").verdict == "pass"
    exact = tuned.foreign({"stroke": round(best, 7)}, y, p, "stroke")
    assert (exact.verdict, "Youden" in exact.finding) == ("fail", True)
    high = choose(y, p, OperatingPoint(sensitivity=0.95))
    assert tuned.foreign({"stroke": high}, y, p, "stroke").verdict == "fail"
    alike = tuned.foreign({"stroke": best - 1e-5}, y, p, "stroke")
    assert (alike.verdict, "answers here as the best one" in alike.finding) == ("cannot tell", True)
    plain = tuned.foreign({"stroke": 0.5}, y, p, "stroke")
    assert plain.verdict == "cannot tell"


def test_a_round_threshold_on_coarse_probabilities_is_no_proof() -> None:
    y = np.array([0, 0, 0, 1, 1, 1], bool)
    p = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])
    found = tuned.foreign({"stroke": 0.4}, y, p, "stroke")
    assert found.verdict == "cannot tell"
