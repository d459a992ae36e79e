from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tests.report.made_report import held, make, plain, record, without_positives
from tests.report.parsed import Page

from insula.evaluate.evidence import Baselines, Guard, Permutation, Seeds, Site, Spread, TrivialModel
from insula.evaluate.further import Further
from insula.evaluate.outcome import LIMITS
from insula.metrics.intervals import Figure
from insula.report import page, words

KEYS = tuple(record()["patient"]["classes"]["stroke"]["figures"])


@cache
def shown() -> Page:
    return Page(page.render(record()))


def found() -> Any:
    return record()["patient"]["classes"]["stroke"]


def said(x: float) -> str:
    return f"{x:.3f}".replace("-", "−")


def row(made: Page, first: str) -> list[str]:
    return next(cells for cells in made.rows if cells and cells[0] == first)


@pytest.mark.parametrize("name", KEYS)
def test_a_row_of_the_page_is_the_figure_of_the_record(name: str) -> None:
    figure = found()["figures"][name]
    cells = row(shown(), words.NAMES[name])
    low, high = figure["interval"]
    assert cells[1] == said(figure["value"])
    assert cells[2].startswith(f"{said(low)} to {said(high)}")
    assert cells[3].startswith((f"{figure['events']} of {figure['n']} patients", f"{figure['n']} patients, "))


@pytest.mark.parametrize("name", ["roc_auc", "sensitivity", "specificity"])
def test_a_card_is_the_figure_of_the_record(name: str) -> None:
    figure = found()["figures"][name]
    cards = [e.text for e in shown().all("div") if e.attributes.get("class") == "card"]
    low, high = figure["interval"]
    want = f"{words.NAMES[name]}, stroke{said(figure['value'])}95% interval {said(low)} to {said(high)}"
    assert any(card.startswith(want) for card in cards)


def test_a_method_beside_an_interval_and_its_note_are_told() -> None:
    figures = found()["figures"]
    noted = {**figures["f1"], "method": "a method", "note": "covers 91% at 30 patients"}
    content = {**record(), "patient": {**record()["patient"]}}
    content["patient"]["classes"] = {
        **record()["patient"]["classes"], "stroke": {**found(), "figures": {**figures, "f1": noted}},
    }  # fmt: skip
    cells = row(Page(page.render(content)), "F1")
    assert "(a method)" in cells[2]
    assert "covers 91% at 30 patients" in cells[2]


def test_counts_are_those_of_the_record() -> None:
    text = shown().text
    c = found()
    assert f"{c['tp']} found, {c['fn']} missed, {c['fp']} false alarms, {c['tn']} right" in text
    assert f"{record()['patient']['patients']}patients, {c['tp'] + c['fn']} with stroke" in text
    spots = record()["localisation"]
    assert f"In {spots['hits']} of {spots['n']} true positives with a lesion mask" in text
    (one,) = spots["lesions"]
    cells = next(cells for cells in shown().rows if cells[:2] == ["stroke", "all"])
    assert cells[2] == str(spots["n"])
    assert cells[3].startswith(f"{100 * one['iou']['value']:.1f}%")
    assert cells[3].endswith("chance 5.0%")
    assert cells[6].startswith("30.0%")
    assert cells[6].endswith("chance 35.0%")
    assert cells[7].endswith("chance 60.0%")
    assert cells[8] == "12.5%"
    assert "Outside the brain" in text
    for key, name in words.COVERAGE.items():
        figure = record()["coverage"][key]
        cells = row(shown(), name)
        assert cells[1] == f"{100 * figure['value']:.1f}%"
        assert cells[3] == f"{figure['events']} of {figure['n']} cases"


def test_prevalences_are_those_of_the_record() -> None:
    for line in record()["prevalence"]:
        value, low, high = (100 * x for x in line["ppv"])
        cells = next(c for c in shown().rows if c[0] == f"{100 * line['prevalence']:.1f}%" and len(c) == 4)
        assert cells[1] == f"{value:.1f}%{low:.1f}–{high:.1f}%"


def test_the_threshold_in_use_is_marked_once_in_the_table_of_thresholds() -> None:
    marked = [cells for cells in shown().rows if cells[0].endswith("in use") and len(cells) == 7]
    assert len(marked) == 1
    assert marked[0][0] == "0.400in use"
    assert marked[0][5:] == [str(found()["fn"]), str(found()["fp"])]


def test_prediction_sets_and_what_confidence_saves_are_those_of_the_record() -> None:
    sets, curve = record()["prediction_sets"], record()["risk_coverage"]
    for name, figure in sets["of_class"].items():
        want = [f"{100 * figure['value']:.1f}%", f"{figure['events']} of {figure['n']} cases"]
        assert [[c[1], c[3]] for c in shown().rows if c[0] == name and len(c) == 4] == [want]
    assert f"Sets hold {sets['size']['value']:.2f} classes on average" in shown().text
    assert f"confidence saves {said(curve['gain']['value'])} of error on average" in shown().text


def test_every_missed_patient_is_listed() -> None:
    misses = record()["misses"]
    assert len(misses) == found()["fn"] > 0
    for miss in misses:
        cells = row(shown(), miss["patient"])
        assert cells[1:3] == [said(miss["probability"]), said(miss["threshold"])]
        assert all(f"{case['case']} ({said(case['probability'])})" in cells[3] for case in miss["cases"])


def test_what_a_missed_patients_cases_share_is_said_once() -> None:
    cases = [{"case": f"dicom/P1/{i}.dcm", "probability": 0.1 * i, "action": "refer"} for i in (1, 2)]
    one = {"patient": "P1", "probability": 0.15, "threshold": 0.4, "cases": cases}
    mixed = {**one, "patient": "P2", "cases": [cases[0], {**cases[1], "action": "accept"}]}
    single = {**one, "patient": "P3", "cases": cases[:1]}
    made = Page(page.render({**record(), "misses": [one, mixed, single]}))
    assert row(made, "P1")[3] == "in dicom/P1/: 1.dcm (0.100), 2.dcm (0.200); each referred"
    assert row(made, "P2")[3] == "in dicom/P1/: 1.dcm (0.100), referred, 2.dcm (0.200), accepted"
    assert row(made, "P3")[3] == "dicom/P1/1.dcm, referred"


def test_of_many_cases_the_highest_and_the_lowest_are_told() -> None:
    actions = ["accept", "refer", "refer", "accept", "reject", "refer", "refer"]
    cases = [{"case": f"P1/{i}.dcm", "probability": 0.1 * i, "action": a} for i, a in enumerate(actions)]
    miss = {"patient": "P1", "probability": 0.3, "threshold": 0.4, "cases": cases}
    told = row(Page(page.render({**record(), "misses": [miss]})), "P1")[3]
    assert told == (
        "7 cases: highest P1/6.dcm (0.600), middle 0.300, lowest P1/0.dcm (0.000); 2 accepted, 4 referred, 1 rejected"
    )


def test_the_thresholds_of_several_bundles_are_told_as_a_range() -> None:
    held = record()
    rows = [{**r, "own": [0.31, 0.52]} if r["used"] else r for r in held["thresholds"]]
    made = Page(page.render({**held, "thresholds": rows}))
    assert [c[0] for c in made.rows if c[0].endswith("in use") and len(c) == 7] == ["0.310–0.520in use"]
    assert "the threshold of the patient's own bundle, 0.310 to 0.520, chosen beforehand" in made.text


def test_thresholds_that_give_the_same_answers_share_a_row() -> None:
    rows = [cells for cells in shown().rows if len(cells) == 7 and cells[1].count("%") > 1]
    distinct = {(r["tp"], r["fp"]) for r in record()["thresholds"] if not r["used"]}
    assert len(rows) >= len(distinct)
    ends = [end for cells in rows if "in use" not in cells[0] for end in cells[0].split("–")]
    assert ends[0] == "0.05"
    assert ends[-1] == "0.95"
    assert ends == sorted(ends)


def test_figures_that_are_not_defined_are_dashes_with_their_reason() -> None:
    html = Page(page.render(held(without_positives())))
    assert row(html, "Sensitivity")[1:3] == ["–", "no patient is positive"]
    assert not {"nan", "none.", "null", "undefined"} & set(html.text.lower().split())
    assert "ROC curve of stroke" not in [e.attributes.get("aria-label") for e in html.all("svg")]
    assert "Not computed: sensitivity or specificity has no interval" in html.text
    assert "None: no patient has stroke." in html.text


def test_an_optimistic_report_says_so_in_place_of_the_headline() -> None:
    leaky = replace(plain(), optimistic=("the cohort was split picture by picture",), headline="Optimistic: leak.")
    text = Page(page.render(held(leaky))).text
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
    html = Page(page.render(held(report)))
    for name, one in report.patient.classes.items():
        cells = next(c for c in html.rows if c[0].split(" (")[0] == name and len(c) == 9)
        assert cells[1] == str(one.tp + one.fn)
        assert cells[3].startswith(said(one.figures["roc_auc"].value))


def test_guards_site_trivial_models_chance_and_seeds_are_shown_where_they_are() -> None:
    area = Figure(0.61, (0.5, 0.7), "DeLong", 24, 24, 12)
    trivial = TrivialModel("border", "The border of the picture", ("border",), "logistic", 70, area, area, False)
    report = replace(
        plain(),
        guards=(Guard("patients", "pass", "no patient was seen"), Guard("chance", "cannot tell", "no run of shuffles")),
        site=Site("external", "No site is shared.", {"B": 24}, 0, 24),
        baselines=Baselines((trivial,), {"metadata": "no column"}, "Far below."),
        permutation=Permutation(0.8, 0.4, 0.6, 0.0005, 1000),
        seeds=Seeds(("x", "y"), (1, 2), {"roc_auc": Spread((0.7, 0.8), 0.75, 0.7, 0.8, 0.07)}),
        further={"delay": Further("regression", 20, 18, {"mae": area})},
    )
    html = Page(page.render(held(report)))
    assert row(html, "patients")[1:] == ["pass", "no patient was seen"]
    assert row(html, "chance")[1] == "cannot tell"
    assert "Internal or external: external (No site is shared). Patients by site: B 24." in html.text
    assert row(html, "The border of the pictureloggistic".replace("gg", "g"))[1] == "0.6100.500 to 0.700"
    assert "metadata: no column" in html.text
    assert "lie between 0.400 and 0.600; that of the model is 0.800 (one-sided p < 0.001)" in html.text
    assert ["ROC-AUC", "0.750", "0.700 to 0.800", "0.070"] in html.rows
    assert "delay (regression; 20 cases, 18 patients)" in html.text
    assert row(html, "Mean absolute error")[1:3] == ["0.610", "0.500 to 0.700 (DeLong)"]
    for heading in ("Guards", "Beside the model", "Further targets"):
        assert heading not in shown().text


def test_the_same_record_gives_the_same_bytes_whatever_was_drawn_between() -> None:
    first = page.render(record())
    page.render(held(without_positives()))
    assert page.render(record()) == first
