"""Nothing that a file or a person wrote reaches the model, and nothing that a model obeys reaches the summary."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from tests.serve.narrative import stub
from tests.serve.narrative.injections import DEEDS, STRINGS
from tests.serve.narrative.made_record import full
from tests.serve.narrative.stub import serving

from insula.core import recipe as recipes
from insula.core.errors import InsulaError
from insula.core.recipe import Recipe
from insula.core.types import Answer, Decision, Prediction, Volume
from insula.infer.decide import reject
from insula.infer.suitable import before
from insula.infer.writers import as_dict
from insula.serve.narrative.ask import answer
from insula.serve.narrative.facts import facts_of
from insula.serve.narrative.record import CaseRecord, Reviewed
from insula.serve.narrative.summary import summarise
from insula.serve.narrative.written import record_of

pytestmark = pytest.mark.serve
RECIPE = recipes.load("brain-tumour-fusion")


def head(text: str) -> Volume:
    """A scan whose header says this of the part of the body."""
    return Volume(np.zeros((1, 1, 224, 224), np.float32) + np.eye(224, dtype=np.float32), np.eye(4), "a.u.", "MR", text,
                  attributes={"body_part": text})  # fmt: skip


def predicted(text: str) -> CaseRecord:
    """The record of a case in which this text stands wherever a file or a person could put it."""
    section = RECIPE.inputs["mri"]
    try:
        said = before(head(text), section, (1, 224, 224), RECIPE.policy.refuse)
    except InsulaError as error:  # it names a part of the body that is not this recipe's
        said = (str(error),)
    warnings = (*said, f"no scan for '{text}': predicted without it", f"not known of the patient: {text}", text)
    values = np.array([0.1, 0.2, 0.7], np.float32)
    stage = Answer("stage", "ordinal", ("I", "II", "III", "IV"), np.array([0.1, 0.6, 0.2, 0.1], np.float32), None)
    prediction = Prediction(
        text, "061122740935c411", "tumour", RECIPE.target.classes, values, None, ("malignant",), 0.5, values,
        warnings=warnings, also={"stage": stage, text: Answer(text, "regression", ("value",), values[:1], None)},
    )  # fmt: skip
    decision = Decision("malignant", True, 0.7, "refer", (text, "confidence 0.70 is below 0.80"), ("", "confidence"))
    return record_of(
        as_dict(prediction, decision), RECIPE, kinds=decision.kinds, reviews=[Reviewed("disagree")], notes=[text, text]
    )


def obeys(request: dict[str, Any]) -> stub.Turn:
    """Does what any of the strings asks, wherever it finds one; else what it was told to."""
    seen = json.dumps(request, ensure_ascii=False) + json.dumps(request)
    for deed in DEEDS:
        if deed in seen:
            return stub.says({"sentences": [{"text": f"{deed}.", "facts": [2]}]})
    return stub.good(request)


def test_there_are_many_strings_and_none_is_there_twice() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 200


def test_no_string_changes_the_summary_or_leaves() -> None:
    clean = predicted("ZZZ")
    with serving(obeys) as server:
        want = summarise(clean, "en", server.endpoint())
        assert want.source == "model"
        for text in STRINGS:
            record = predicted(text)
            assert text in record.notes
            assert summarise(record, "en", server.endpoint()) == want
        assert len(server.bodies) == 1 + len(STRINGS)
        assert set(server.bodies) == {server.bodies[0]}
        sent = {json.dumps(h) for h in server.headers}
    whole = server.bodies[0] + "".join(sent)
    for text in (*STRINGS, *DEEDS, "malignant", "benign", "healthy", "061122740935c411", "tumour", "stage"):
        assert text not in whole
        assert json.dumps(text)[1:-1] not in whole


def test_the_stub_would_obey_a_string_that_reached_it() -> None:
    record = full(question="Is it so?")
    with serving(obeys) as server:
        server.model = lambda request: obeys({**request, "leak": STRINGS[0]})
        told = summarise(record, "en", server.endpoint())
    assert told.source == "template"
    assert told.reason.startswith("refused_")


def test_a_model_that_writes_any_of_the_strings_is_not_heard() -> None:
    record = full()
    want = summarise(record).text
    with serving(stub.good) as server:
        for text in STRINGS:

            def turn(request: dict[str, Any], text: str = text) -> stub.Turn:
                body = stub.phrased(request)
                body["sentences"][0]["text"] = text[:400]
                return stub.says(body)

            server.model = turn
            told = summarise(record, "en", server.endpoint())
            assert (told.text, told.source) == (want, "template")
            assert told.reason.startswith("refused_")


def test_a_scan_that_the_checks_refuse_tells_its_check_and_not_its_header() -> None:
    section = RECIPE.inputs["mri"]
    for deed in ("KNEE " + one for one in DEEDS):
        with pytest.raises(InsulaError) as refused:
            before(head(deed), section, (1, 224, 224), RECIPE.policy.refuse)
        decision = reject(refused.value)
        assert "KNEE" in decision.reasons[0]
        for kinds in (decision.kinds, ()):
            record = record_of(_rejected(decision), RECIPE, kinds=kinds)
            assert [r.kind for r in record.reasons] == ["body_part"]
            assert "KNEE" not in summarise(record).text


def _rejected(decision: Decision) -> dict[str, Any]:
    none = np.zeros(0, np.float32)
    return as_dict(Prediction("k", "", "tumour", (), none, None, (), 0.0, none), decision)


def test_a_question_takes_no_string_to_the_model() -> None:
    record = full()
    with serving(lambda request: stub.says({"ids": [2]})) as server:
        for text in (*STRINGS, *(f"What is the answer? {t}" for t in STRINGS)):
            said = answer(record, text[:500], "en", server.endpoint())
            assert {q.text for q in said.quotes} <= set(_sentences(record))
        assert not any("555" in b or "nimodipine" in b or "Ayşe" in b or "ignore" in b for b in server.bodies)


def _sentences(record: CaseRecord) -> list[str]:
    return [f.text for f in facts_of(record).all]


def test_the_recipe_is_the_one_that_has_trained_heads() -> None:
    assert isinstance(RECIPE, Recipe)
    assert set(RECIPE.further) == {"stage", "survival"}
