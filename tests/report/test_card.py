from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests import tiny_bundle
from tests.report.made_report import held, make, plain, record, without_positives

from insula.core import recipe as recipes
from insula.evaluate.outcome import LIMITS, EvaluationReport
from insula.report import words
from insula.report.card import model_card, of_record
from insula.report.record import described

KEYS = tuple(plain().positive.figures)


def card(report: EvaluationReport | None = None, **facts: Any) -> str:
    data = json.loads(json.dumps(report.to_dict())) if report else None
    return model_card(tiny_bundle.recipe(), facts, data)


def rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def test_every_section_stands_in_its_order() -> None:
    headings = [line.lstrip("# ") for line in card().splitlines() if line.startswith("#")]
    assert headings == [
        "tiny-ct",
        "Intended use",
        "Out of scope",
        "Training data",
        "Evaluation data",
        "Figures",
        "Thresholds and policy",
        "Audit and groups of patients",
        "Limits",
        "How to make it again",
        "Left to the author",
    ]
    assert f"**{LIMITS}**" in card()
    assert "Not evaluated yet." in card()
    assert "Nothing is recorded about the training data." in card()


@pytest.mark.parametrize("name", KEYS)
def test_a_quoted_figure_is_that_of_the_report(name: str) -> None:
    figure = record()["patient"]["classes"]["stroke"]["figures"][name]
    value, interval, basis = rows(card(plain()))[words.NAMES[name]]
    assert value == words.value(figure)
    assert interval == words.interval(figure)
    assert basis.startswith(
        f"{figure['events']} of {figure['n']} patients" if words.is_share(name) else f"{figure['n']} patients, "
    )


def test_prevalences_are_quoted_with_their_ends() -> None:
    line = plain().prevalence[0]
    want = [f"{100 * v:.2f}% ({100 * low:.2f}% to {100 * high:.2f}%)" for v, low, high in (line.ppv, line.npv)]
    value, low, high = line.alerts_per_1000
    assert rows(card(plain()))["1.0%"] == [*want, f"{value:.0f} ({low:.0f} to {high:.0f})"]


def test_a_figure_that_is_not_defined_is_a_dash_with_its_reason() -> None:
    assert rows(card(without_positives()))["Sensitivity"][:2] == ["–", "no patient is positive"]


def test_optimistic_figures_are_not_to_be_quoted() -> None:
    leaky = replace(plain(), optimistic=("leak",), headline="Optimistic: leak.")
    assert "**Optimistic: leak.** Do not quote the figures below as performance." in card(leaky)
    assert "ptimistic" not in card(plain())


def test_facts_limits_and_origin_are_listed() -> None:
    text = model_card(
        tiny_bundle.recipe(),
        {"class_counts": {"normal": 3, "stroke": 4}, "sites": ["A", "B"]},
        provenance={"insula": "1.2", "secret": "x"},
        limits=["Only one scanner."],
    )
    assert "- class counts: normal 3, stroke 4" in text
    assert "- sites: A, B" in text
    assert "- Only one scanner." in text
    assert text.endswith("## Origin\n\n- insula: 1.2\n")


def test_names_cannot_bring_html_or_break_a_table() -> None:
    evil = "<script>alert(1)</script>"
    content = tiny_bundle.recipe().model_dump(mode="json", by_alias=True)
    content |= {"question": evil}
    report = make(("normal", evil), optimistic=(evil,)).to_dict()
    text = model_card(recipes.parse(content, "x"), {evil: evil, "pipe": "a|b"}, report)
    assert text.count("\\<script>") == text.count("<script>") >= 4


def test_several_inputs_and_further_targets_are_all_named() -> None:
    content = tiny_bundle.recipe().model_dump(mode="json", by_alias=True)
    content["inputs"]["mri"] = {"modality": "MR", "prep": ["resize"]}
    content["clinical"] = {"age": {"kind": "number"}}
    content["targets"]["delay"] = {"kind": "regression"}
    text = model_card(recipes.parse(content, "x"), {})
    for line in (
        "- input (ct): CT, one answer per series",
        "- preparation (mri): resize",
        "- clinical columns: age",
        "- further targets: delay (regression)",
    ):
        assert line in text


def test_a_card_of_predictions_from_elsewhere_says_that_it_knows_no_model() -> None:
    text = of_record(record())
    assert "came without their model" in text
    assert rows(text)["ROC-AUC"] == rows(card(plain()))["ROC-AUC"]
    for unknown in ("Intended use", "network", "Training data", "Thresholds", "Audit", "Origin"):
        assert unknown not in text
    assert "- patients: 24" in text


def test_the_card_of_a_record_is_about_the_bundle_it_names(tmp_path: Any) -> None:
    bundle = tiny_bundle.make(tmp_path)
    shown = {**held(plain()), "model": described(bundle.recipe, bundle)}
    text = of_record(shown)
    assert "# tiny-ct" in text
    assert f"- bundle: {bundle.id}" in text
    assert "- patients trained or validated on: 2" in text
    assert "- training cases by class: normal 5, stroke 5" in text
    hashes = (*bundle.baseline.patients, *bundle.baseline.files, bundle.baseline.salt)
    assert not [h for h in hashes if h in text or h in json.dumps(shown)]
