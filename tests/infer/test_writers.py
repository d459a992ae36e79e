from __future__ import annotations

import json
from collections.abc import Callable

from tests.tiny_bundle import volume

from insula.bundle.types import Bundle
from insula.infer.decide import decide
from insula.infer.predict import Predictor
from insula.infer.writers import WRITERS


def test_json_holds_the_prediction_and_the_decision(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    prediction = Predictor(bundle).volume(volume(), "case-7", passes=5)
    decision = decide(prediction, bundle)
    data = json.loads(WRITERS.get("json")(prediction, decision))
    assert data["case"] == "case-7"
    assert data["bundle"] == bundle.id
    assert set(data["probabilities"]) == {"normal", "stroke"} == set(data["spread"])
    assert abs(sum(data["probabilities"].values()) - 1) < 1e-5
    assert data["label"] == decision.label
    assert data["decision"] in ("accept", "refer")


def test_text_names_every_class_and_reason(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle(refer={"confidence": 1.0})
    prediction = Predictor(bundle).volume(volume(), "case-7")
    text = WRITERS.get("text")(prediction, decide(prediction, bundle))
    assert "normal" in text
    assert "is below 1.00" in text
