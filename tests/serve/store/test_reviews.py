"""Reviews: kept whole, blinded, with or without a model; the queue by uncertainty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.serve.store.made_records import MADE, files_at, predicted, project, put, study, user

from insula.serve.faults import RequestError
from insula.serve.store import predictions, review_queue, reviews, schema, studies
from insula.serve.store.connect import writing
from insula.serve.store.reviews import Said

pytestmark = pytest.mark.serve


def said(verdict: str = "agree", label: str | None = None, target: str = "answer") -> Said:
    return Said(target, verdict, "Ada Lovelace", label, "a comment")  # type: ignore[arg-type]  # given by the tests


def test_what_a_reader_says_is_kept(records: Engine) -> None:
    with writing(records) as connection:
        one, reader = study(connection, project(connection)), user(connection)
        of = predicted(connection, one, 0.9)
        name = reviews.write(connection, one, reader, said("override", "normal"), of)
        (found,) = reviews.history(connection, one)
        assert (found.id, found.prediction_id, found.reviewer_id) == (name, of, reader)
        assert (found.verdict, found.label, found.comment) == ("override", "normal", "a comment")
        assert (found.signature, found.blinded, found.replaced_by) == ("Ada Lovelace", True, None)
        marked = predictions.get(connection, of, None)
        assert (marked.reviewed, marked.disagreed) == (True, True)


def test_agreeing_keeps_the_label_that_was_agreed_with(records: Engine) -> None:
    with writing(records) as connection:
        one, reader = study(connection, project(connection)), user(connection)
        of = predicted(connection, one, 0.9)
        reviews.write(connection, one, reader, said(), of)
        assert reviews.history(connection, one)[0].label == "stroke"
        marked = predictions.get(connection, of, None)
        assert (marked.reviewed, marked.disagreed) == (True, False)


def test_without_a_model_a_study_is_labelled_from_scratch(records: Engine) -> None:
    with writing(records) as connection:
        one, reader = study(connection, project(connection)), user(connection)
        with pytest.raises(RequestError, match="no prediction to agree with"):
            reviews.write(connection, one, reader, said())
        reviews.write(connection, one, reader, said("override", "stroke"), known={"normal", "stroke"})
        reviews.write(connection, one, reader, said("cannot_tell", target="stage"))
        assert [(row.prediction_id, row.label) for row in reviews.history(connection, one)] == [
            (None, "stroke"),
            (None, None),
        ]


def test_a_later_review_replaces_the_readers_own_and_deletes_nothing(records: Engine) -> None:
    with writing(records) as connection:
        one, ada, bob = study(connection, project(connection)), user(connection, "ada"), user(connection, "bob")
        of = predicted(connection, one, 0.9)
        first = reviews.write(connection, one, ada, said("override", "normal"), of)
        others = reviews.write(connection, one, bob, said(), of)
        stage = reviews.write(connection, one, ada, said("cannot_tell", target="stage"), of)
        second = reviews.write(connection, one, ada, said(), of)
        found = {row.id: row for row in reviews.history(connection, one)}
        assert list(found) == [first, others, stage, second]
        assert {name: row.replaced_by for name, row in found.items()} == {
            first: second,
            others: None,
            stage: None,
            second: None,
        }
        assert found[first].label == "normal"
        assert not predictions.get(connection, of, None).disagreed  # nobody disagrees any more
        assert [found[name].blinded for name in (first, others, stage, second)] == [True, True, True, False]


def test_a_second_reader_sees_the_first_only_after_his_own_answer(records: Engine) -> None:
    with writing(records) as connection:
        one, ada, bob = study(connection, project(connection)), user(connection, "ada"), user(connection, "bob")
        of = predicted(connection, one, 0.9)
        first = reviews.write(connection, one, ada, said("override", "normal"), of)
        stage = reviews.write(connection, one, ada, said("cannot_tell", target="stage"), of)
        assert reviews.shown(connection, one, bob) == []
        assert [row.id for row in reviews.shown(connection, one, ada)] == [first, stage]
        second = reviews.write(connection, one, bob, said(), of)
        assert [row.id for row in reviews.shown(connection, one, bob)] == [first, second]
        assert len(reviews.history(connection, one)) == 3


def test_a_second_reader_is_not_told_that_the_first_disagreed(records: Engine) -> None:
    with writing(records) as connection:
        one, ada, bob = study(connection, project(connection)), user(connection, "ada"), user(connection, "bob")
        of, other = predicted(connection, one, 0.9), predicted(connection, one, 0.8)
        both = [of, other]
        assert reviews.withheld(connection, both, bob) == set()
        reviews.write(connection, one, ada, said("override", "normal"), of)
        assert reviews.withheld(connection, both, bob) == {of}
        assert reviews.withheld(connection, both, ada) == set()
        assert reviews.withheld(connection, both, None) == reviews.withheld(connection, [], bob) == set()
        reviews.write(connection, one, ada, said("cannot_tell", target="stage"), of)
        reviews.write(connection, one, bob, said(), of)
        assert reviews.withheld(connection, both, bob) == {of}, "the stage is not answered yet"
        reviews.write(connection, one, bob, said("override", "late", target="stage"))
        assert reviews.withheld(connection, both, bob) == set()


def test_what_a_reader_wrote_lately(records: Engine) -> None:
    with writing(records) as connection:
        one, ada, bob = study(connection, project(connection)), user(connection, "ada"), user(connection, "bob")
        start = schema.now()
        for verdict in ("cannot_tell", "override", "cannot_tell"):
            label = "normal" if verdict == "override" else None
            reviews.write(connection, one, ada, said(verdict, label, target=verdict))
        reviews.write(connection, one, bob, said("cannot_tell"))
        found = reviews.written_by(connection, ada, start, 10)
        assert len(found) == 2, "the first one was replaced"
        assert found == sorted(found, reverse=True)
        assert len(reviews.written_by(connection, ada, start, 1)) == 1
        assert reviews.written_by(connection, ada, max(found) + timedelta(microseconds=1), 10) == []


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (said("maybe"), "bad_verdict"),
        (said("override"), "bad_text"),
        (said("override", "stroke"), "bad_label"),
        (said("override", "unknown"), "bad_label"),
        (said("override", "normal;unknown"), "bad_label"),
        (said("agree", "normal"), "bad_label"),
        (said("cannot_tell", "normal"), "bad_label"),
        (Said("answer", "agree", " "), "bad_text"),
        (Said("", "agree", "Ada"), "bad_text"),
        (Said("answer", "agree", "A\nB"), "bad_text"),
        (Said("answer", "agree", "Ada", comment="x" * 20_001), "bad_text"),
        (Said("answer", "agree", "Ada", comment="a\0"), "bad_text"),
    ],
)
def test_what_does_not_fit_is_refused(what: Said, code: str, refusing: Engine) -> None:
    with writing(refusing) as connection:
        one, reader = study(connection, project(connection)), user(connection)
        of = predicted(connection, one, 0.9)
        with pytest.raises(RequestError) as caught:
            reviews.write(connection, one, reader, what, of, known={"normal", "stroke", "other"})
        assert (caught.value.status, caught.value.fault_code) == (422, code)
        assert reviews.history(connection, one) == []
        assert not predictions.get(connection, of, None).reviewed


@pytest.fixture
def refusing(tmp_path: object) -> Engine:
    from insula.serve.store.connect import connect
    from insula.serve.store.schema import metadata

    engine = connect(f"sqlite:///{tmp_path}/insula.db")
    metadata.create_all(engine)
    return engine


def test_a_prediction_of_another_study_is_not_found(records: Engine) -> None:
    with writing(records) as connection:
        a, reader = project(connection), user(connection)
        one, other = study(connection, a), study(connection, a)
        of = predicted(connection, other)
        for study_id, prediction_id in ((one, of), (one, "none"), ("none", None)):
            with pytest.raises(RequestError) as caught:
                reviews.write(connection, study_id, reader, said("cannot_tell"), prediction_id)
            assert caught.value.status == 404


def test_the_least_sure_are_read_first(records: Engine) -> None:
    with writing(records) as connection:
        a, b, reader = project(connection, "A"), project(connection, "B"), user(connection)
        by = {}
        for i, p in enumerate((0.9, 0.5, 0.7, 0.99, 0.6, 0.5)):
            one = study(connection, (a, b)[i % 2])
            by[p, i] = predicted(connection, one, p)
        predicted(connection, study(connection, a), 0.5, made=replace(MADE, arm="shadow"))
        rejected = [predicted(connection, study(connection, a), 0.9, "reject") for _ in range(2)]
        wanted = [by[0.5, 5], by[0.5, 1], by[0.6, 4], by[0.7, 2], by[0.9, 0], by[0.99, 3], *rejected[::-1]]
        found, after = [], None
        while rows := review_queue.first(connection, {a, b}, after, limit=3):
            found += [row.id for row in rows]
            after = review_queue.place(rows[-1])
        assert found == wanted
        assert [row.id for row in review_queue.first(connection, {b})] == [by[0.5, 5], by[0.5, 1], by[0.99, 3]]
        assert review_queue.first(connection, set()) == []
        top = review_queue.first(connection, None, limit=1)[0]
        reviews.write(connection, top.study_id, reader, said(), top.id)
        assert [row.id for row in review_queue.first(connection, None)] == wanted[1:]


def test_the_second_reader_gets_what_one_other_has_read(records: Engine) -> None:
    with writing(records) as connection:
        a = project(connection)
        ada, bob, eve = (user(connection, name) for name in ("ada", "bob", "eve"))
        made = []
        for p in (0.9, 0.6, 0.7):
            one = study(connection, a)
            made.append((one, predicted(connection, one, p)))
        for one, of in made[:2]:
            reviews.write(connection, one, ada, said(), of)
        assert review_queue.second(connection, {a}, ada) == []
        assert [row.id for row in review_queue.second(connection, {a}, bob)] == [made[1][1], made[0][1]]
        reviews.write(connection, made[1][0], bob, said("cannot_tell"), made[1][1])
        assert [row.id for row in review_queue.second(connection, {a}, bob)] == [made[0][1]]
        assert [row.id for row in review_queue.second(connection, {a}, eve)] == [made[0][1]]


def test_studies_without_a_model_wait_for_a_label(records: Engine, tmp_path: object) -> None:
    files = files_at(tmp_path)  # type: ignore[arg-type]  # a path
    with writing(records) as connection:
        a, reader = project(connection), user(connection)
        with_files = [study(connection, a, title=str(i)) for i in range(4)]
        study(connection, a, title="without files")
        for one in with_files:
            studies.add_files(connection, files, one, "ct", [("a", put(files, b"a"))])
        predicted(connection, with_files[0])
        reviews.write(connection, with_files[1], reader, said("override", "stroke"))
        assert review_queue.unlabelled(connection, {a}).rows == (with_files[3], with_files[2])
