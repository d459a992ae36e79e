from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from statsmodels.api import GLM, add_constant, families

from insula.core.errors import EvaluationError
from insula.metrics import recalibrate

RNG = np.random.default_rng(0)
P = RNG.uniform(0.02, 0.98, 400)
Y = RNG.random(400) < expit(0.4 + 0.6 * logit(P))


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=1, max_size=12))
def test_steps_are_those_of_scikit_learn_at_every_probability(rows: list[tuple[bool, int]]) -> None:
    y, p = np.array([r[0] for r in rows]), np.array([r[1] for r in rows]) / 10
    made = recalibrate.fit(y[:, None], p[:, None], "isotonic", "multilabel")
    want = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    at = np.linspace(0, 1, 23)
    np.testing.assert_allclose(recalibrate.apply(made, at[:, None])[:, 0], want.predict(at), atol=1e-12)
    assert (np.diff(recalibrate.apply(made, at[:, None])[:, 0]) >= 0).all()


def test_the_line_is_a_logistic_regression_on_the_logit() -> None:
    made = recalibrate.fit(Y[:, None], P[:, None], "logistic", "multilabel")
    want = GLM(Y, add_constant(logit(P)), family=families.Binomial()).fit().params
    assert made.classes[0] == pytest.approx(tuple(want), rel=1e-6)
    np.testing.assert_allclose(recalibrate.apply(made, [[0.3]])[0, 0], expit(want[0] + want[1] * logit(0.3)), rtol=1e-6)


@pytest.mark.parametrize("how", ["logistic", "isotonic"])
def test_two_classes_stay_complements_and_three_a_distribution(how: recalibrate.How) -> None:
    two = recalibrate.fit(np.stack([~Y, Y], 1), np.stack([1 - P, P], 1), how, "binary")
    got = recalibrate.apply(two, np.stack([1 - P, P], 1))
    single = recalibrate.apply(recalibrate.fit(Y[:, None], P[:, None], how, "multilabel"), P[:, None])
    np.testing.assert_allclose(got[:, 1], single[:, 0], atol=1e-7)
    p3 = RNG.dirichlet(np.ones(3), 200)
    y3 = np.eye(3, dtype=bool)[[RNG.choice(3, p=row) for row in p3]]
    np.testing.assert_allclose(recalibrate.apply(recalibrate.fit(y3, p3, how, "multiclass"), p3).sum(1), 1.0)


@pytest.mark.parametrize("how", ["logistic", "isotonic"])
def test_it_travels_through_json_unchanged(how: recalibrate.How) -> None:
    made = recalibrate.fit(Y[:, None], P[:, None], how, "multilabel")
    assert recalibrate.of_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_separated_or_absent_class_is_left_alone_by_the_line() -> None:
    p = np.array([0.1, 0.2, 0.8, 0.9])
    for y in (p > 0.5, np.zeros(4, dtype=bool)):
        assert recalibrate.fit(y[:, None], p[:, None], "logistic", "multilabel").classes == ((0.0, 1.0),)


def test_where_every_step_is_at_0_the_probabilities_stay() -> None:
    flat = recalibrate.Recalibration("isotonic", "multiclass", ((0.0, 1.0, 0.0, 0.0),) * 2)
    np.testing.assert_array_equal(recalibrate.apply(flat, [[0.3, 0.7]]), [[0.3, 0.7]])


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"how": "magic", "kind": "binary", "classes": [[0.0, 1.0]]},
        {"how": "logistic", "kind": "binary", "classes": [[0.0, 1.0, 2.0]]},
        {"how": "isotonic", "kind": "binary", "classes": [[0.0, 1.0, 0.9, 0.1]]},
        {"how": "isotonic", "kind": "binary", "classes": [[]]},
        {"how": "logistic", "kind": "binary", "classes": [["x", 1.0]]},
        {"how": "logistic", "kind": "survival", "classes": [[0.0, 1.0]]},
    ],
)
def test_what_is_no_recalibration_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(EvaluationError):
        recalibrate.of_dict(data)


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="equal tables"):
        recalibrate.fit(Y, P, "isotonic", "binary")
    with pytest.raises(EvaluationError, match="outside 0 to 1"):
        recalibrate.fit(Y[:, None], P[:, None] + 1, "isotonic", "multilabel")
    with pytest.raises(EvaluationError, match="no recalibration"):
        recalibrate.fit(Y[:, None], P[:, None], "magic", "multilabel")  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="one a class"):
        recalibrate.apply(recalibrate.Recalibration("logistic", "binary", ((0.0, 1.0),) * 2), [0.5])
