from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, update
from tests import tiny_bundle
from tests.serve.monitor.made_records import BUNDLE, START, Made

from insula.core.recipe import Target
from insula.metrics import agreement
from insula.metrics.intervals import wilson_modified
from insula.serve.monitor.accuracy import FEW, NO_SAMPLE, SEEN, accuracy, share_right
from insula.serve.monitor.reviewed import FEWEST, class_of, reviewed
from insula.serve.store import reviews as kept_reviews
from insula.serve.store.connect import writing
from insula.serve.store.schema import reviews

pytestmark = pytest.mark.serve

TWO = tiny_bundle.recipe("multiclass").target
LABELS = tiny_bundle.recipe("multilabel").target
MANY = {("stroke", "stroke"): 18, ("stroke", "normal"): 4, ("normal", "stroke"): 2, ("normal", "normal"): 26}


def filled(connection: Connection, table: dict[tuple[str, str], int] = MANY) -> tuple[Made, str]:
    """Answers and reviews, so many of each (answer, truth), a patient each."""
    made = Made(connection)
    reader = made.user("anna")
    for (answer, truth), count in table.items():
        for _ in range(count):
            study = made.study()
            made.prediction(study, label=answer)
            made.review(study, reader, truth)
    return made, reader


def test_figures_and_intervals_are_those_of_the_two_by_two_table(records: Engine) -> None:
    with writing(records) as connection:
        filled(connection)
        found = accuracy(connection, BUNDLE, "answer", TWO, 300)
        assert share_right(connection, BUNDLE, "answer", TWO) == found.figures["accuracy"]
    assert found.figures["accuracy"].value == pytest.approx(44 / 50)
    assert found.figures["accuracy"].interval == pytest.approx(wilson_modified(44, 50))
    assert found.figures["sensitivity"].value == pytest.approx(18 / 20)
    assert found.figures["sensitivity"].interval == pytest.approx(wilson_modified(18, 20))
    assert found.figures["specificity"].value == pytest.approx(26 / 30)
    truth = np.array([t == "stroke" for (_, t), n in MANY.items() for _ in range(n)], np.intp)
    answer = np.array([a == "stroke" for (a, _), n in MANY.items() for _ in range(n)], np.intp)
    kappa = float(agreement.cohen(truth, answer, 2, np.ones((1, 50)))[0])
    assert found.figures["kappa"].value == pytest.approx(kappa)
    assert found.figures["kappa"].interval is not None
    assert (found.settled, found.disputed, found.untold, found.rejected) == (50, 0, 0, 0)
    assert found.notes == (NO_SAMPLE, SEEN)
    assert found.readers == {}


def test_where_positive_answers_are_reviewed_more_often_the_correction_finds_the_truth(records: Engine) -> None:
    with writing(records) as connection:
        made, _ = filled(connection)
        for _ in range(84):  # negative answers that nobody reviewed: 28 of 112 were
            made.prediction(label="normal")
        found = accuracy(connection, BUNDLE, "answer", TWO, 300)
    assert found.shares == {"normal": pytest.approx(0.25), "stroke": pytest.approx(1.0)}
    assert found.figures["sensitivity"].value == pytest.approx(18 / 20)
    corrected = found.figures["corrected sensitivity"]
    assert corrected.value == pytest.approx(18 / (18 + 4 * 2))
    assert corrected.interval is not None
    assert corrected.interval[0] < corrected.value < corrected.interval[1]
    assert found.figures["corrected specificity"].value == pytest.approx(4 * 26 / (4 * 26 + 4))


def test_with_one_kind_of_answer_reviewed_the_correction_says_so(records: Engine) -> None:
    with writing(records) as connection:
        filled(connection, {("stroke", "stroke"): 3, ("stroke", "normal"): 2})
        found = accuracy(connection, BUNDLE, "answer", TWO, 300)
    figure = found.figures["corrected sensitivity"]
    assert math.isnan(figure.value)
    assert "one kind" in figure.reason
    assert (figure.patients, figure.n) == (5, 5)


def test_months_are_apart_and_each_has_its_own_figures(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        reader = made.user("anna")
        for month, truth in ((2, "stroke"), (2, "normal"), (3, "stroke"), (3, "stroke"), (3, "stroke")):
            study = made.study()
            made.prediction(study, datetime(2026, month, 1, tzinfo=UTC), label="stroke")
            made.review(study, reader, truth)
        found = accuracy(connection, BUNDLE, "answer", TWO, 300)
    assert [one.month for one in found.months] == ["2026-02", "2026-03"]
    assert [one.figures["accuracy"].value for one in found.months] == [0.5, 1.0]
    assert found.months[1].figures["specificity"].reason == "no reviewed case is negative"


def test_several_studies_of_a_patient_are_no_independent_cases(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        reader = made.user("anna")
        for n in range(12):
            patient = made.patient()
            for _ in range(4):
                study = made.study(patient)
                made.prediction(study, label="stroke")
                made.review(study, reader, "stroke" if n % 3 else "normal")
        figure = accuracy(connection, BUNDLE, "answer", TWO, 300).figures["accuracy"]
    assert (figure.patients, figure.n, figure.events) == (12, 48, 32)
    assert figure.interval is not None
    independent = wilson_modified(32, 48)
    assert figure.interval[1] - figure.interval[0] > 1.5 * (independent[1] - independent[0])


def test_what_settles_nothing_is_left_out_and_counted(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        anna, berta = made.user("anna"), made.user("berta")
        differ, untold, rejected, other, fine = (made.study() for _ in range(5))
        for study in (differ, untold, other, fine):
            made.prediction(study, label="stroke")
        made.prediction(rejected, label="", action="reject")
        made.review(differ, anna, "stroke")
        made.review(differ, berta, "normal", blinded=False)
        made.review(untold, anna, None)
        made.review(rejected, anna, "stroke")
        made.review(other, anna, "stroke", target="another question")
        made.review(fine, anna, "normal", replaced_by="x" * 32)
        made.review(fine, anna, "stroke")
        made.review(fine, berta, "stroke")
        found = accuracy(connection, BUNDLE, "answer", TWO, 300)
    assert (found.settled, found.disputed, found.untold, found.rejected) == (1, 1, 1, 1)
    assert np.isnan(found.figures["accuracy"].value)
    assert found.figures["accuracy"].reason == FEW
    assert (found.months, found.readers) == ((), {}), "one study's figures would tell what its reader said"
    assert any("1 studies are left out" in note for note in found.notes)
    assert any("Of 2 second readings 1 were" in note for note in found.notes)


def test_two_readers_agree_beyond_chance_as_far_as_cohen_says(records: Engine) -> None:
    pairs = {("stroke", "stroke"): 12, ("stroke", "normal"): 3, ("normal", "stroke"): 2, ("normal", "normal"): 13}
    with writing(records) as connection:
        made = Made(connection)
        anna, berta, third = made.user("anna"), made.user("berta"), made.user("cem")
        for (first, second), count in pairs.items():
            for _ in range(count):
                study = made.study()
                made.prediction(study, label="stroke")
                made.review(study, anna, first)
                made.review(study, berta, second)
                made.review(study, third, "stroke")
        kappa = accuracy(connection, BUNDLE, "answer", TWO, 300).readers["kappa"]
    seen, chance = 25 / 30, (15 * 14 + 15 * 16) / 900
    assert kappa.value == pytest.approx((seen - chance) / (1 - chance))
    assert kappa.interval is not None
    assert (kappa.patients, kappa.n, kappa.events) == (30, 30, 25)


def test_a_label_from_scratch_or_to_another_model_counts_for_this_one(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        anna = made.user("anna")
        study = made.study()
        other = made.prediction(study, bundle_id="other", label="stroke")
        made.prediction(study, label="normal")
        made.prediction(study, label="stroke")  # asked again; the first answer is the one that was given
        kept_reviews.write(connection, study, anna, kept_reviews.Said("answer", "agree", "A"), other)
        found = reviewed(connection, BUNDLE, "answer", TWO)
        assert [(row.answer, row.truth) for row in found.settled] == [(0, 1)]
        assert found.answered == {0: 1}
        connection.execute(update(reviews).values(prediction_id=None))
        assert reviewed(connection, BUNDLE, "answer", TWO) == found


def test_without_reviews_every_figure_has_its_reason(records: Engine) -> None:
    with writing(records) as connection:
        Made(connection).prediction()
        found = accuracy(connection, BUNDLE, "answer", TWO)
    assert found.figures["accuracy"].reason == "no answer was reviewed"
    assert found.months == ()
    assert found.shares == {"normal": 0.0}


@pytest.mark.parametrize(
    ("label", "target", "number"),
    [
        ("stroke", TWO, 1),
        ("normal", TWO, 0),
        ("", TWO, None),
        ("tumour", TWO, None),
        ("any", LABELS, 1),
        ("no any", LABELS, 0),
        ("none", LABELS, 0),
        ("any;subdural", LABELS, 1),
        ("", LABELS, None),
        ("fracture", LABELS, None),
    ],
)
def test_labels_become_classes(label: str, target: Target, number: int | None) -> None:
    assert class_of(label, target) == number


def test_labels_that_stand_together_are_judged_by_the_headline(records: Engine) -> None:
    assert class_of("subdural", LABELS) == int(LABELS.any_of_the_others)
    with writing(records) as connection:
        filled(connection, {("any", "any;subdural"): 3, ("any", "none"): 1, ("no any", "none"): 2})
        found = accuracy(connection, BUNDLE, "answer", LABELS, 300)
    assert found.figures["sensitivity"].value == 1.0
    assert found.figures["specificity"].value == pytest.approx(2 / 3)
    assert set(found.shares) == {"any", "no any"}


def test_a_target_without_classes_is_refused(records: Engine) -> None:
    graded = Target(kind="regression")
    with writing(records) as connection, pytest.raises(ValueError, match="no classes"):
        accuracy(connection, BUNDLE, "age", graded)


def test_a_month_is_that_of_the_answer_not_of_the_review(records: Engine) -> None:
    with writing(records) as connection:
        made = Made(connection)
        anna = made.user("anna")
        for _ in range(FEWEST):
            study = made.study()
            made.prediction(study, START, label="stroke")
            made.review(study, anna, "stroke", created_at=START + timedelta(days=90))
        assert [one.month for one in accuracy(connection, BUNDLE, "answer", TWO, 300).months] == ["2026-03"]
