from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.report.made_report import item, make, plain, without_positives
from tests.report.parsed import Page

from insula.evaluate.outcome import LIMITS
from insula.report import page, words


@cache
def shown() -> Page:
    return Page(page.render(plain(), [item()]))


@cache
def data() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(plain().to_dict(), allow_nan=False))
    return content


def said(x: float) -> str:
    return f"{x:.3f}".replace("-", "−")


@pytest.mark.parametrize("name", words.ORDER)
def test_a_row_of_the_page_is_the_figure_of_the_json(name: str) -> None:
    figure = data()["patient"]["classes"]["stroke"]["figures"][name]
    row = next(row for row in shown().rows if row[0] == words.NAMES[name])
    low, high = figure["interval"]
    assert row[1:3] == [said(figure["value"]), f"{said(low)} to {said(high)}"]
    assert row[3].startswith((f"{figure['events']} of {figure['n']} patients", f"{figure['n']} patients, "))


@pytest.mark.parametrize("name", ["roc_auc", "sensitivity", "specificity"])
def test_a_card_is_the_figure_of_the_json(name: str) -> None:
    figure = data()["patient"]["classes"]["stroke"]["figures"][name]
    cards = [e.text for e in shown().all("div") if e.attributes.get("class") == "card"]
    low, high = figure["interval"]
    want = f"{words.NAMES[name]}, stroke{said(figure['value'])}95% interval {said(low)} to {said(high)}"
    assert any(card.startswith(want) for card in cards)


def test_counts_are_those_of_the_json() -> None:
    found = data()["patient"]["classes"]["stroke"]
    text = shown().text
    assert f"{found['tp']} found, {found['fn']} missed, {found['fp']} false alarms, {found['tn']} right" in text
    assert f"{data()['patient']['patients']}patients, {found['tp'] + found['fn']} with stroke" in text
    spots = data()["localisation"]
    assert f"In {spots['hits']} of {spots['n']} true positives with a lesion mask" in text
    for key, name in words.COVERAGE.items():
        figure = data()["coverage"][key]
        row = next(row for row in shown().rows if row[0] == name)
        assert row[1] == f"{100 * figure['value']:.1f}%"
        assert row[3] == f"{figure['events']} of {figure['n']} cases"


def test_prevalences_are_those_of_the_json() -> None:
    rows = {row[0]: row for row in shown().rows}
    for line in data()["prevalence"]:
        value, low, high = (f"{100 * x:.1f}%" for x in line["ppv"])
        assert rows[f"{100 * line['prevalence']:.1f}%"][1] == f"{value} ({low} to {high})"


def test_figures_that_are_not_defined_are_dashes_with_their_reason() -> None:
    html = Page(page.render(without_positives()))
    row = next(row for row in html.rows if row[0] == "Sensitivity")
    assert row[1:3] == ["–", "no row is positive"]
    assert "nan" not in html.text.lower().split()
    assert "ROC curve of stroke" not in [e.attributes.get("aria-label") for e in html.all("svg")]
    assert "Not computed: sensitivity or specificity has no interval" in html.text


def test_an_optimistic_report_says_so_in_place_of_the_headline() -> None:
    leaky = replace(plain(), optimistic=("the cohort was split picture by picture",))
    text = Page(page.render(leaky)).text
    assert "Do not quote them as performance" in text
    assert "split picture by picture" in text
    assert "Sensitivity, stroke (optimistic)" in text
    assert plain().headline not in text
    assert plain().headline in shown().text
    assert "ptimistic" not in shown().text


def test_limits_stand_at_the_top_and_at_the_end() -> None:
    assert LIMITS in shown().all("header")[0].text
    assert LIMITS in shown().all("footer")[0].text


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("any", "subdural")])
def test_several_classes_and_labels_are_listed_one_by_one(classes: tuple[str, ...]) -> None:
    report = make(classes, "multiclass" if len(classes) == 3 else "multilabel")
    html = Page(page.render(report))
    for name, found in report.patient.classes.items():
        row = next(row for row in html.rows if row[0].split(" (")[0] == name)
        assert row[1] == str(found.tp + found.fn)
        assert row[3].startswith(said(found.figures["roc_auc"].value))


def test_the_same_report_gives_the_same_bytes_whatever_was_drawn_between() -> None:
    first = page.render(plain(), [item()])
    page.render(without_positives())
    assert page.render(plain(), [item()]) == first


def test_the_json_beside_the_page_is_strict_and_whole(tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    path = page.write(without_positives(), tmp_path)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=refuse)
    assert content == without_positives().to_dict()
    assert content["patient"]["classes"]["stroke"]["figures"]["sensitivity"]["value"] is None
    assert path.read_text(encoding="utf-8") == page.render(without_positives())


def test_a_page_that_cannot_be_drawn_leaves_no_json_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise ValueError("no such pen")

    monkeypatch.setattr("insula.report.figures.confusion", broken)
    with pytest.raises(ValueError, match="no such pen"):
        page.write(plain(), tmp_path)
    assert list(tmp_path.iterdir()) == []
