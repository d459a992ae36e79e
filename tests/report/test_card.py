from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests import tiny_bundle
from tests.report.made_report import make, plain, without_positives

from insula.core import recipe as recipes
from insula.evaluate.outcome import LIMITS, EvaluationReport
from insula.report import words
from insula.report.card import model_card


def card(report: EvaluationReport | None = None, **facts: Any) -> str:
    data = json.loads(json.dumps(report.to_dict())) if report else None
    return model_card(tiny_bundle.recipe(), facts, data)


def rows(text: str) -> dict[str, list[str]]:
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {line[0].strip(): [cell.strip() for cell in line[1:]] for line in lines}


def test_every_section_stands_in_its_order() -> None:
    headings = [line for line in card().splitlines() if line.startswith("#")]
    assert headings == ["# tiny-ct", "## Intended use", "## Data", "## Figures", "## Limits"]
    assert f"**{LIMITS}**" in card()
    assert "Not evaluated yet." in card()
    assert "Nothing is recorded about the training data." in card()


@pytest.mark.parametrize("name", words.ORDER)
def test_a_quoted_figure_is_that_of_the_report(name: str) -> None:
    figure = plain().positive.figures[name]
    value, interval, basis = rows(card(plain()))[words.NAMES[name]]
    assert value == words.value(figure)
    assert interval == words.interval(figure)
    assert basis.startswith(f"{figure.events} of {figure.n}" if words.is_share(name) else f"{figure.n}, ")


def test_prevalences_are_quoted_with_their_ends() -> None:
    line = plain().prevalence[0]
    want = [f"{100 * v:.2f}% ({100 * low:.2f}% to {100 * high:.2f}%)" for v, low, high in (line.ppv, line.npv)]
    assert rows(card(plain()))["1.0%"] == want


def test_a_figure_that_is_not_defined_is_a_dash_with_its_reason() -> None:
    assert rows(card(without_positives()))["Sensitivity"][:2] == ["–", "no row is positive"]


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
