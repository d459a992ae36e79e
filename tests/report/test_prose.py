"""What page, card and checklists say in words: no key of the JSON, sentences that end once, no interval of nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.report import hard, made_report
from tests.report.parsed import Page

from insula.report import card, page
from insula.report.checklist.answered import answered
from insula.report.record import Record

RECORDS: dict[str, Callable[[], Record]] = {
    "plain": made_report.record,
    "without positives": lambda: made_report.held(made_report.without_positives()),
    "labels": lambda: made_report.held(made_report.make(("any", "subdural"), "multilabel")),
    "hard": hard.record,
}
KEYS = re.compile(
    r"\b(?:roc_auc|pr_auc|log_loss|kappa_quadratic|balanced_accuracy|within_one|calibration_slope|c_index)\b"
)


def texts(record: Record) -> dict[str, str]:
    said = [f"{item['answer']} {item['left']}" for checklist in answered(record) for item in checklist["items"]]
    return {"page": Page(page.render(record)).text, "card": card.of_record(record), "checklists": "\n".join(said)}


@pytest.mark.parametrize("name", RECORDS)
def test_no_key_of_the_json_stands_in_prose(name: str) -> None:
    for where, text in texts(RECORDS[name]()).items():
        assert KEYS.findall(text) == [], where


@pytest.mark.parametrize("name", RECORDS)
def test_sentences_end_once_and_begin_with_a_capital(name: str) -> None:
    for where, text in texts(RECORDS[name]()).items():
        assert not re.findall(r".{30}(?:\.\.|\.;|;\.|\?\.| \.(?=\s))", text), where
    for checklist in answered(RECORDS[name]()):
        for item in checklist["items"]:
            assert not re.search(r"[.?!] [a-z](?!\w*\.\w)", item["answer"]), item["answer"]
            assert item["answer"] == "" or item["answer"].endswith((".", "?")) or item["number"] == "2"


def test_a_question_without_a_stop_gets_one_in_the_card() -> None:
    assert "The predictions in elsewhere.csv. The figures are those" in card.of_record(hard.record())


def test_hashes_are_short_until_the_provenance_has_them_whole() -> None:
    html = page.render(hard.record())
    start = html.index('id="provenance"')
    for digest in (hard.HASH, hard.TEST_SET):
        assert digest not in html[:start]
        assert digest in html[start:]
        assert f"{digest[:12]}…" in html[:start]


def dashed(cells: list[str]) -> list[str]:
    return [cell for cell in cells if re.search(r"^–\s*−?\d", cell)]


@pytest.mark.parametrize("name", RECORDS)
def test_what_is_not_defined_has_a_reason_and_no_interval(name: str) -> None:
    record = RECORDS[name]()
    for level in ("patient", "case"):
        for figures in (record[level]["overall"], *(c["figures"] for c in record[level]["classes"].values())):
            for figure in figures.values():
                assert (figure["value"] is None) <= bool(figure["interval"] is None and figure["reason"])
    made = Page(page.render(record))
    assert [found for row in made.rows if (found := dashed(row))] == []


def test_npv_without_a_negative_answer_is_a_dash_with_its_reason_on_page_and_card() -> None:
    held: dict[str, Any] = dict(made_report.record())
    held["prevalence"] = [
        {"prevalence": 0.1, "ppv": [0.1, 0.07, 0.2], "npv": [None, None, None], "alerts_per_1000": [1000, 700, 1000]}
    ]
    row = next(c for c in Page(page.render(held)).rows if c[0] == "10.0%" and len(c) == 4)
    assert row[2] == "–no answer is negative"
    assert "| 10.0% | 10.00% (7.00% to 20.00%) | – (no such answer) |" in card.of_record(held)


def test_every_figure_of_a_class_table_has_its_interval() -> None:
    record = made_report.record()
    rows = [c for c in Page(page.render(record)).rows if len(c) == 9 and c[0] in ("normal", "stroke (positive)")]
    assert len(rows) == 4  # patients and cases
    for row in rows:
        for cell in row[3:]:
            assert re.fullmatch(r"\d\.\d{3}\d\.\d{3} to \d\.\d{3}", cell)


def test_the_decision_table_has_intervals_for_everybody_and_for_the_gain() -> None:
    record = made_report.record()
    held = record["decision_curve"]
    row = next(c for c in Page(page.render(record)).rows if c[0] == "20%" and len(c) == 4)
    at = held["thresholds"].index(0.2)
    for cell, value, low, high in (
        (row[2], "treat_all", "all_low", "all_high"),
        (row[3], "gain", "gain_low", "gain_high"),
    ):
        ends = f"{held[low][at]:.3f} to {held[high][at]:.3f}"
        assert cell == f"{held[value][at]:.3f}{ends}".replace("-", "−")


def test_readers_stand_with_what_they_counted() -> None:
    row = next(c for c in Page(page.render(hard.record())).rows if c[0].startswith("A. N. Other"))
    assert row[0] == "A. N. Other40 of 48 cases, 24 patients"
    assert row[1] == "0.7500.500 to 0.90018 of 24"
