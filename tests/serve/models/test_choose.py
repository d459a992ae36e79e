from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, select
from tests.report import made_report
from tests.serve.models.made_answers import Answers
from tests.tiny_bundle import make

from insula.bundle.types import Bundle
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import predictions

pytestmark = pytest.mark.serve
KEY = b"k" * 32


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make(tmp_path_factory.mktemp("choose"))


def version(base: Bundle, number: int, **recipe: object) -> Bundle:
    return replace(base, id=f"{number:016x}", recipe=base.recipe.model_copy(update=recipe))


def registered(connection: Connection, base: Bundle, count: int) -> list[str]:
    return [choose.register(connection, version(base, number)).bundle_id for number in range(count)]


def states(connection: Connection) -> list[str]:
    return [model.state for model in choose.models(connection, "tiny-ct")]


def refused(status: int, code: str) -> pytest.RaisesExc[RequestError]:
    return pytest.RaisesExc(RequestError, check=lambda e: (e.status, e.fault_code) == (status, code))


def test_a_bundle_is_registered_once_as_a_candidate_with_what_it_answers(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        first = choose.register(connection, base)
        choose.promote(connection, base.id)
        again = choose.register(connection, replace(base, path=Path("/elsewhere")))
        assert (first.state, again.state, again.id) == ("candidate", "active", first.id)
        assert again.path == "/elsewhere"
        assert first.name == base.recipe.name
        assert first.info["classes"] == list(base.recipe.target.classes)
        assert len(choose.models(connection)) == 1


def test_an_evaluation_that_came_later_is_taken_in_when_the_bundle_is_registered_again(
    records: Engine, tmp_path: Path
) -> None:
    bundle = make(tmp_path)
    place = bundle.path.with_name(f"{bundle.path.name}.report.json")
    with writing(records) as connection:
        assert choose.register(connection, bundle).info["figures"] == []
        place.write_text(json.dumps({**made_report.record(), "model": {"bundle": bundle.id}}), encoding="utf-8")
        found = choose.register(connection, bundle)
    assert {one["key"]: round(one["value"], 3) for one in found.info["figures"]}["sensitivity"] == 0.917
    assert found.state == "candidate"


def test_one_model_of_a_name_is_active_and_the_former_one_can_come_back(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        a, b, _ = registered(connection, base, 3)
        assert choose.promote(connection, a).state == "active"
        assert choose.promote(connection, b).state == "active"
        assert states(connection) == ["retired", "active", "candidate"]
        choose.promote(connection, a)
        assert states(connection) == ["active", "retired", "candidate"]
        assert choose.promote(connection, a).state == "active"


def test_the_way_of_a_candidate(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        a, b = registered(connection, base, 2)
        choose.promote(connection, a)
        assert choose.set_shadow(connection, b).state == "shadow"
        arm = choose.set_ab(connection, b, 0.25)
        assert (arm.state, arm.share) == ("ab", 0.25)
        done = choose.promote(connection, b)
        assert (done.state, done.share) == ("active", 0.0)
        assert choose.get(connection, a).state == "retired"


def test_arms_and_shadows_need_an_active_model_and_are_candidates_again_without(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        a, b, c = registered(connection, base, 3)
        with refused(409, "no_active_model"):
            choose.set_shadow(connection, b)
        with refused(409, "no_active_model"):
            choose.choose(connection, "tiny-ct", "p", KEY)
        choose.promote(connection, a)
        with refused(409, "is_active"):
            choose.set_shadow(connection, a)
        with refused(409, "is_active"):
            choose.set_ab(connection, a, 0.5)
        choose.set_shadow(connection, b)
        choose.set_ab(connection, c, 0.5)
        choose.retire(connection, a)
        assert states(connection) == ["retired", "candidate", "candidate"]
        with refused(404, "no_such_model"):
            choose.promote(connection, "f" * 16)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0, 1.5, float("nan")])
def test_a_share_leaves_something_to_the_active_model(records: Engine, base: Bundle, share: float) -> None:
    with writing(records) as connection:
        a, b, c = registered(connection, base, 3)
        choose.promote(connection, a)
        with refused(422, "bad_share"):
            choose.set_ab(connection, b, share)
        choose.set_ab(connection, b, 0.6)
        with refused(422, "bad_share"):
            choose.set_ab(connection, c, 0.4)
        choose.set_ab(connection, b, 0.3)  # its own share is not counted twice
        choose.set_ab(connection, c, 0.4)


def test_a_model_that_answers_something_else_is_neither_arm_nor_successor(records: Engine, base: Bundle) -> None:
    target = base.recipe.target.model_copy(update={"classes": ("normal", "bleed", "stroke")})
    others = [
        version(base, 7, question="Is there something else?"),
        version(base, 8, targets={base.recipe.target_name: target}),
        version(base, 9, targets={"other": base.recipe.target}),
    ]
    with writing(records) as connection:
        (a,) = registered(connection, base, 1)
        choose.promote(connection, a)
        for other in others:
            choose.register(connection, other)
            for change in (choose.set_shadow, choose.promote, lambda c, b: choose.set_ab(c, b, 0.5)):
                with refused(409, "other_question"):
                    change(connection, other.id)
        assert states(connection) == ["active", "candidate", "candidate", "candidate"]
        choose.retire(connection, a)
        assert choose.promote(connection, others[0].id).state == "active"


def test_one_patient_always_gets_the_same_arm_and_the_shares_are_kept(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        a, b, c = registered(connection, base, 3)
        choose.promote(connection, a)
        choose.set_ab(connection, b, 0.3)
        choose.set_shadow(connection, c)
    patients = [f"{number:032x}" for number in range(2000)]
    with reading(records) as connection:
        first = [choose.choose(connection, "tiny-ct", patient, KEY) for patient in patients]
        again = [choose.choose(connection, "tiny-ct", patient, KEY) for patient in patients[:200]]
    assert first[:200] == again
    assert {one.shadows for one in first} == {(c,)}
    assert {(one.bundle_id, one.arm) for one in first} == {(a, "main"), (b, "ab")}
    in_arm = np.array([one.arm == "ab" for one in first])
    assert abs(in_arm.mean() - 0.3) < 0.04  # four standard errors
    with writing(records) as connection:
        choose.set_ab(connection, b, 0.5)
    with reading(records) as connection:
        wider = np.array([choose.choose(connection, "tiny-ct", patient, KEY).arm == "ab" for patient in patients[:500]])
    assert (wider >= in_arm[:500]).all()
    assert wider.sum() > in_arm[:500].sum()


def test_arms_cannot_be_told_without_the_key_and_differ_between_names() -> None:
    patients = [f"{number:032x}" for number in range(1000)]
    found = {
        who: np.array([choose.fraction(who[0], p, who[1]) for p in patients])
        for who in (("a", KEY), ("a", b"x" * 32), ("b", KEY))
    }
    for one in found.values():
        assert 0.0 <= one.min() < 0.01
        assert 0.99 < one.max() < 1.0
        for other in found.values():
            if one is not other:
                assert abs(np.corrcoef(one, other)[0, 1]) < 0.15


def test_two_promotions_at_the_same_time_leave_one_active_model(records: Engine, base: Bundle) -> None:
    with writing(records) as connection:
        names = registered(connection, base, 4)
    start = threading.Barrier(4)

    def promote(name: str) -> None:
        start.wait(60)
        with writing(records) as connection:
            choose.promote(connection, name)

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(promote, name) for name in names]:
            future.result(60)
    with reading(records) as connection:
        assert sorted(states(connection)) == ["active", "retired", "retired", "retired"]


def test_the_answers_of_shadows_are_kept_and_not_shown(records: Engine) -> None:
    with writing(records) as connection:
        made = Answers(connection)
        study = made.study()
        main, arm, _ = (
            made.answer(study, b, "normal", arm=a) for b, a in (("a", "main"), ("b", "ab"), ("c", "shadow"))
        )
        found = connection.scalars(select(predictions.c.id).where(choose.shown()).order_by(predictions.c.seq)).all()
        assert list(found) == [main, arm]
