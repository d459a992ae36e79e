from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine
from tests.serve.models.made_answers import Answers
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.metrics.compare import mcnemar
from insula.metrics.group_difference import difference, share
from insula.metrics.intervals import wilson_modified
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.models.compare import compare
from insula.serve.monitor.reviewed import FEWEST
from insula.serve.store.connect import writing

pytestmark = pytest.mark.serve
A, B = "a" * 16, "b" * 16
FEW = 200


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tmp_path_factory.mktemp("compare"))


def both(connection: Connection, base: Bundle) -> Answers:
    for name in (A, B):
        choose.register(connection, replace(base, id=name, path=Path("/x")))
    return Answers(connection)


def target(base: Bundle) -> str:
    return base.recipe.target_name


def test_agreement_and_differences_on_the_same_studies(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        made = both(connection, base)
        said = [("stroke", "stroke"), ("normal", "normal"), ("stroke", "normal"), ("stroke", "normal")] * 10
        for number, (first, second) in enumerate(said):
            study = made.study()
            made.answer(study, A, first, "refer" if number % 4 == 0 else "accept")
            made.answer(study, B, second, arm="shadow")
            made.answer(study, B, "stroke", arm="shadow")  # only the first answer to a study counts
        made.answer(made.study(), A, "stroke")  # and only studies that both answered
        found = compare(connection, A, B, FEW)
    assert (found.studies, found.patients, found.reviewed) == (40, 40, 0)
    assert found.same_label.value == 0.5
    assert found.same_label.interval == pytest.approx(wilson_modified(20, 40))
    assert found.same_action.value == 0.75
    stroke = found.labels["stroke"]
    assert (stroke.first, stroke.second, stroke.difference.value) == (0.75, 0.25, 0.5)
    assert stroke.difference.interval is not None
    assert stroke.difference.interval[0] > 0.3
    assert stroke.p_value < 0.001
    assert found.labels["normal"].difference.value == -0.5
    assert found.actions["refer"].difference.value == 0.25
    assert found.actions["reject"].difference.value == 0.0
    assert (found.accuracy, found.discordance) == (None, None)


def test_where_readers_reviewed_it_is_told_which_is_right(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        made = both(connection, base)
        rights = [(True, True)] * 12 + [(True, False)] * 9 + [(False, True)] * 2 + [(False, False)] * 3
        for number, (first, second) in enumerate(rights):
            truth, other = ("stroke", "normal") if number % 2 else ("normal", "stroke")
            study = made.study()
            made.answer(study, A, truth if first else other)
            made.answer(study, B, truth if second else other, arm="shadow")
            made.review(study, truth, target=target(base))
        open_study = made.study()
        for name in (A, B):
            made.answer(open_study, name, "normal")
        for label in ("normal", "stroke"):  # readers differ: no truth
            made.review(open_study, label, target=target(base))
        replaced = made.study()
        for name in (A, B):
            made.answer(replaced, name, "normal")
        made.review(replaced, "stroke", target=target(base), replaced_by="x")
        made.review(replaced, None, target=target(base))
        made.review(replaced, "stroke", target="another question")
        found = compare(connection, A, B, FEW)
    assert (found.studies, found.reviewed) == (28, 26)
    assert found.accuracy is not None
    assert (found.accuracy.first, found.accuracy.second) == pytest.approx((21 / 26, 14 / 26))
    assert found.accuracy.difference.value == pytest.approx(7 / 26)
    assert found.accuracy.difference.interval is not None
    assert found.discordance == mcnemar([a for a, _ in rights], [b for _, b in rights])
    assert found.discordance is not None
    assert (found.discordance.only_first, found.discordance.only_second) == (9, 2)


def test_several_studies_of_one_patient_are_resampled_together_and_have_no_mcnemar(
    records: Engine, base: Bundle
) -> None:
    with writing(records) as connection:
        made = both(connection, base)
        for number in range(12):
            patient = made.patient()
            for _ in range(3):
                study = made.study(patient)
                made.answer(study, A, "stroke")
                made.answer(study, B, "stroke" if number % 3 else "normal")
                made.review(study, "stroke", target=target(base))
        found = compare(connection, A, B, FEW)
    assert (found.studies, found.patients, found.reviewed) == (36, 12, 36)
    assert found.discordance is None
    assert found.accuracy is not None
    assert found.accuracy.difference.patients == 12
    ends = found.same_label.interval
    narrow = wilson_modified(24, 36)
    assert ends is not None
    assert ends[1] - ends[0] > 1.3 * (narrow[1] - narrow[0])  # three answers of one patient are not three patients


def test_arms_are_compared_between_their_patients(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        made = both(connection, base)
        for _ in range(50):
            made.answer(made.study(), A, "stroke")  # before there was an arm: another time, another mix
        both_got = made.study()
        for name in (A, B):
            made.answer(both_got, name, "normal")
        for number in range(40):
            arm = number % 4 == 0
            patient = made.patient()
            label, action = ("stroke" if number < 20 else "normal"), ("refer" if arm else "accept")
            made.answer(made.study(patient), B if arm else A, label, action, "ab" if arm else "main")
            made.answer(made.study(patient), B if arm else A, "stroke", "accept")  # a patient counts once
        found = compare(connection, A, B, FEW)
    assert found.studies == 1
    labels = found.ab["label stroke"]
    assert labels.n == (30, 10)
    assert (labels.first, labels.second) == (0.5, 0.5)
    assert labels.interval == pytest.approx(difference(share(15, 30), share(5, 10)))
    assert found.ab["action refer"].difference == -1.0


def test_nothing_to_compare_is_said_and_not_made_up(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        both(connection, base)
        found = compare(connection, A, B, FEW)
    assert (found.studies, found.reviewed, found.labels, found.actions, found.ab) == (0, 0, {}, {}, {})
    assert found.same_label.interval is None
    assert found.same_label.reason == "no study was answered by both models"


def test_what_cannot_be_compared_is_refused(records: Engine, base: Bundle) -> None:
    other = base.recipe.target.model_copy(update={"classes": ("normal", "bleed")})
    recipe = base.recipe.model_copy(update={"targets": {base.recipe.target_name: other}})
    with writing(records) as connection:
        both(connection, base)
        choose.register(connection, replace(base, id="c" * 16, recipe=recipe))
        for name, status in ((A, 422), ("c" * 16, 409), ("d" * 16, 404)):
            with pytest.raises(RequestError) as caught:
                compare(connection, A, name, FEW)
            assert caught.value.status == status


def test_of_few_reviewed_studies_it_is_not_told_which_is_right(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        made = both(connection, base)
        for number in range(1, FEWEST + 1):
            study = made.study()
            for name in (A, B):
                made.answer(study, name, "stroke")
            made.review(study, "stroke", target=target(base))
            found = compare(connection, A, B, FEW)
            assert found.reviewed == number
            assert (found.accuracy is None) == (number < FEWEST), "one would tell what its reader said"
