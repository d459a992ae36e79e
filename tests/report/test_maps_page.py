"""The page, the JSON and the table of judged maps."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from tests.evaluate.test_maps import FACTS, HEAT, case, spot
from tests.report.parsed import Page

from insula.evaluate import maps as judged
from insula.evaluate.maps import Against, MapsReport
from insula.evaluate.maps_findings import findings, still_alike
from insula.evaluate.outcome import Failure
from insula.metrics import maps
from insula.report import maps_page

HOSTILE = """</style><b>bold</b>"><img src=x onerror=alert(1)> {{ 7 * 7 }} <script>alert(1)</script>"""


def made(name: str = "any", **changes: object) -> MapsReport:
    off = Against(0.1, spot(HEAT[:, ::-1], hit=False))
    names = ("heads", "encoder, block 1 of 1", "all weights 1", judged.SHUFFLED)
    cases = [replace(case(i, 0.1 + 0.01 * i, own=spot()), others=dict.fromkeys(names, off)) for i in range(6)]
    cases[0] = replace(cases[0], others={**cases[0].others, "heads": Against(float("nan"), spot(np.zeros((1, 4))))})
    checks = [judged.check(cases, n, name, FACTS) for n in names]
    effects = judged.effect(cases, "deletion"), judged.effect(cases, "insertion")
    drawn = ["all weights 1"]
    ends = tuple(maps.mean([p - 0.01 * i for i in range(6)], list("abcdef"), "") for p in (0.9, 0.2))
    likeness = judged.inside_gain(cases, drawn), judged.alike(cases, drawn)
    good, bad = findings(judged.within(cases), (ends[0], ends[1]), *effects, *likeness, checks[3], checks[:2])
    facts = {
        "bundle": "b1", "recipe": "made-ct", "question": "Is there any?", "target": "answer", "class": name,
        "method": "class_map", "cohort": "somewhere", "split": "test", "cases": 6, "patients": 6, "regions": ["brain"],
        "level": 0.5, "steps": 4, "draws": 1, "networks": 1, "shuffled": "b2", "seed": 0,
    }  # fmt: skip
    chosen = judged.chosen([("v", spot())], cases)
    lesions = judged.lesions_of(cases, name, FACTS)
    found = MapsReport(
        facts, lesions, *judged.within(cases), chosen, *effects, (ends[0], ends[1]), tuple(checks[:2]), (checks[2],),
        checks[3], good, (*bad, "A warning."), ("A note.",), (Failure("c9", "too dark"),), tuple(cases),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def test_nothing_comes_from_outside_and_no_patient_is_shown() -> None:
    html = maps_page.render(made())
    page = Page(html)
    assert not page.all("script", "link", "iframe", "img", "object", "base")
    assert not re.search(r"https?:|@import|url\(", html)
    assert all(v.startswith("#") for e in page.elements for k, v in e.attributes.items() if k in ("href", "src"))
    ids = {e.attributes["id"] for e in page.elements if "id" in e.attributes}
    assert {v[1:] for e in page.elements for k, v in e.attributes.items() if k == "href"} <= ids
    assert "explains" not in page.text


def test_every_figure_stands_on_the_page_as_the_record_has_it() -> None:
    report = made()
    page = Page(maps_page.render(report))
    whole = report.lesions[0]
    row = next(cells for cells in page.rows if cells[:2] == ["any", "all"])
    assert row[3].startswith(f"{100 * whole.iou.value:.1f}%")
    assert row[4].startswith("100.0%")
    assert row[4].endswith("chance 50.0%")
    assert row[6].startswith(f"{100 * whole.near.value:.1f}%")
    assert [cells[1] for cells in page.rows if cells[0] == "any"] == ["all", "subdural", "epidural"]
    assert f"{100 * report.within.value:.1f}% of it" in page.text
    assert "lies in the brain, which is 40.0% of the picture" in page.text
    areas = [cells for cells in page.rows if cells[0] == "Gain of the heat's order"]
    assert [cells[1] for cells in areas] == [f"{e.gain.value:.3f}" for e in (report.deletion, report.insertion)]
    heads = next(cells for cells in page.rows if cells[0] == "heads")
    assert heads[1].startswith("0.100")
    assert heads[2] == "1"
    assert page.text.count("Weights drawn anew, from the heads down") == 1
    assert len([e for e in page.all("svg") if e.attributes.get("role") == "img"]) == 3
    for text in (*report.findings, "A warning.", "A note.", "too dark"):
        assert text in page.text


def test_what_was_not_asked_for_is_said() -> None:
    page = Page(maps_page.render(made(lesions=(), chosen=None, cascade=(), random=(), shuffled=None, failures=())))
    assert "no true positive has a lesion mask" in page.text
    assert "Not looked at: no weights were drawn anew" in page.text
    assert "could not be judged" not in page.text


def test_text_from_outside_stays_text() -> None:
    report = made(HOSTILE, notes=(f"note {HOSTILE}",), failures=(Failure(HOSTILE, "x"),))
    page = Page(maps_page.render(replace(report, facts={**report.facts, "question": HOSTILE, "cohort": HOSTILE})))
    assert not page.all("script", "img")
    assert f"note {HOSTILE}" in page.text


def test_the_files_hold_the_same(tmp_path: Path) -> None:
    report = made()
    html, figures, table = maps_page.write(report, tmp_path / "maps")
    held = json.loads(figures.read_text())
    assert held["deletion"]["gain"]["value"] == report.deletion.gain.value
    assert held["lesions"][0]["iou"]["value"] == report.lesions[0].iou.value
    assert held["limits"].startswith("Research use only")
    assert "cases" not in held
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["case"] for row in rows] == [f"c{i}" for i in range(6)]
    assert float(rows[1]["iou"]) == maps.overlap(HEAT, np.array([[False, False, True, True]])).iou[0.5]
    assert rows[0]["similarity_heads"] == ""
    assert html.read_text().startswith("<!doctype html>")


def test_the_terminal_is_told_the_findings_and_the_first_failure() -> None:
    text = maps_page.summary(made())
    assert text.startswith("Maps of 'any' by class_map: 6 cases called so, 6 patients.")
    assert "all lesions (6): IoU " in text
    assert "Warning: A warning." in text
    assert "1 case could not be judged; the first: c9: too dark" in text
    assert text.endswith("not a medical device.")


def test_a_stage_whose_maps_remain_alike_stands_at_the_top_of_the_page(tmp_path: Path) -> None:
    report = made()
    heads = replace(report.cascade[0], similarity=maps.mean([0.9 - 0.01 * i for i in range(6)], list("abcdef"), ""))
    report = replace(report, cascade=(heads, *report.cascade[1:]), warnings=tuple(still_alike([heads])))
    page = Page(maps_page.render(report))
    said = "With the weights of 'heads' alone drawn anew the maps remain alike"
    assert said in page.text
    assert page.text.index(said) < page.text.index("Where the heat lies")
    assert said in maps_page.summary(report)
    assert "from 0.5 on, where two cells stand in the same order about twice as often as in the other" in page.text
    assert "alike from here on" in page.text
    _, figures, _ = maps_page.write(report, tmp_path)
    assert said in json.loads(figures.read_text())["warnings"][0]
