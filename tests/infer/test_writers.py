from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

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


def test_uncertainty_is_written_by_source_with_its_interval_by_class(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    prediction = Predictor(bundle).volume(volume(), "case-7", ask=("dropout", "views"))
    decision = decide(prediction, bundle)
    data = json.loads(WRITERS.get("json")(prediction, decision))
    assert set(data["uncertainty"]) == {"dropout", "views"}
    found = data["uncertainty"]["views"]
    assert (found["draws"], data["uncertainty"]["dropout"]["draws"]) == (9, 12)
    low, high = found["interval"]["stroke"]
    assert low < found["mean"]["stroke"] < high
    assert 0 <= found["mutual_information"] <= found["entropy"]
    text = WRITERS.get("text")(prediction, decision)
    assert "9 draws of views: " in text
    assert f"entropy {found['entropy']:.3f}" in text


def test_a_rejected_scan_gets_its_reason_and_no_class(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    prediction = replace(Predictor(bundle).volume(volume(), "knee"), distances={"picture_ct": 8.0, "all": 7.0})
    decision = decide(prediction, bundle)
    text = WRITERS.get("text")(prediction, decision)
    assert text.startswith("knee: no answer, reject")
    assert "7.00 times as far" in text
    assert "stroke" not in text
    data = json.loads(WRITERS.get("json")(prediction, decision))
    assert (data["decision"], data["label"], data["distances"]) == ("reject", "", {"picture_ct": 8.0, "all": 7.0})
