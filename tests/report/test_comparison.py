from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.report.made_report import plain
from tests.report.parsed import Page

from insula.core.errors import EvaluationError
from insula.evaluate.comparison import Compared, ComparisonReport, Side
from insula.evaluate.evidence import Guard
from insula.evaluate.outcome import LIMITS
from insula.metrics.compare import Comparison, Discordance, delong
from insula.metrics.intervals import Figure
from insula.report import comparison, folder

HOSTILE = """</style></svg><b>x</b>"><img src=x onerror=alert(1)> {{ 7 * 7 }}"""


@cache
def made(name: str = "ResNet", optimistic: tuple[str, ...] = ()) -> ComparisonReport:
    rng = np.random.default_rng(0)
    y = rng.random(60) < 0.5
    area = delong(y, 0.5 * y + rng.random(60), 0.2 * y + rng.random(60))
    gap = Figure(0.1, (-0.05, 0.25), "bootstrap", 60, 60, 30)
    undefined = Figure(float("nan"), None, "", 60, 60, 30, "it is not defined for both models")
    roc = ((0.0, 0.2, 1.0), (0.0, 0.9, 1.0))
    guard = Guard("patients", "pass", "no patient was seen")
    return ComparisonReport(
        facts=plain().facts,
        first=Side(name, "ab12", {"stroke": 0.4}, roc, optimistic, (guard,)),
        second=Side("EfficientNet", "cd34", {"stroke": 0.5}, roc, (), ()),
        headline="A is not shown to be better.",
        cases=120,
        patients=60,
        positives=30,
        replicates=2000,
        tests=(
            Compared("roc_auc", area, 0.0004, True),
            Compared("sensitivity", Comparison(0.9, 0.8, gap, 0.21, "bootstrap"), 0.42, True),
            Compared("specificity", Comparison(0.7, 0.6, gap, 0.21, "bootstrap"), 0.42, True),
            Compared("brier", Comparison(0.1, 0.2, gap, 0.5, "bootstrap"), 0.5, False),
            Compared("mcc", Comparison(float("nan"), 0.2, undefined, float("nan"), "bootstrap"), float("nan"), True),
        ),
        mcnemar=Discordance(7, 3, 0.34, "McNemar, exact"),
        mcnemar_adjusted=0.68,
        looks=None,
        notes=("Mind this.",),
        source={"cohort": "somewhere"},
    )


def shown(report: ComparisonReport, out: Path) -> Page:
    return Page(comparison.write(report, out).read_text(encoding="utf-8"))


def test_each_row_is_the_test_of_the_json(tmp_path: Path) -> None:
    page = shown(made(), tmp_path)
    held = json.loads((tmp_path / "report.json").read_text())
    assert made().to_dict().items() <= held.items()
    rows = {cells[0].split(" (lower")[0]: cells for cells in page.rows if len(cells) == 8}
    assert rows["Sensitivity"][1:4] == ["0.900", "0.800", "0.100−0.050 to 0.250"]
    assert rows["Sensitivity"][6:] == ["0.210", "0.420"]
    assert rows["MCC"][1:4] == ["–", "0.200", "–it is not defined for both models"]
    assert rows["MCC"][6:] == ["–", "–"]
    area = held["tests"][0]["found"]
    assert rows["ROC-AUC"][1:3] == [f"{area['first']:.3f}", f"{area['second']:.3f}"]
    assert rows["ROC-AUC"][7] == "< 0.001"
    assert [c[0] for c in page.rows if c[0].startswith("Brier")] == ["Brier score (against the rest) (lower is better)"]


def test_the_page_says_who_is_compared_on_whom(tmp_path: Path) -> None:
    text = shown(made(), tmp_path).text
    assert made().headline in text
    assert "A = ResNet, B = EfficientNet; 60 patients (120 cases), 30 with stroke." in text
    assert "only A is right on 7 patients and only B on 3 (McNemar, exact: p 0.340, after Holm 0.680)" in text
    assert "Mind this." in text
    assert text.count(LIMITS) == 2
    for fact in ("ab12", "cd34", "stroke 0.4", "stroke 0.5", "somewhere", "no patient was seen"):
        assert fact in text


def test_reasons_take_the_headlines_place(tmp_path: Path) -> None:
    text = shown(made(optimistic=("3 patients were seen",)), tmp_path).text
    assert "ResNet: 3 patients were seen" in text
    assert "Do not quote the comparison" in text
    assert made().headline not in text


def test_both_curves_have_a_legend_and_both_thresholds_a_mark(tmp_path: Path) -> None:
    page = shown(made(), tmp_path)
    legend = [e.text for e in page.all("li")]
    assert {"A: ResNet", "B: EfficientNet", "A at its threshold", "B at its threshold", "chance"} <= set(legend)
    none = replace(made(), first=replace(made().first, roc=None))
    assert "ROC curves" not in [e.attributes.get("aria-label") for e in shown(none, tmp_path).all("svg")]


def test_a_name_from_outside_stays_text(tmp_path: Path) -> None:
    page = shown(made(HOSTILE), tmp_path)
    assert f"A = {HOSTILE}" in page.text
    assert [e.tag for e in page.elements] == [e.tag for e in shown(made(), tmp_path).elements]
    assert not page.all("script", "link", "img")


def test_the_page_is_made_anew_from_its_record(tmp_path: Path) -> None:
    first = comparison.write(made(), tmp_path).read_bytes()
    (tmp_path / "report.html").unlink()
    assert folder.rewrite(tmp_path).read_bytes() == first


@pytest.mark.parametrize("content", ["{}", "[1]", '{"kind": "comparison", "schema": 7}'])
def test_what_is_no_comparison_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(EvaluationError, match="not the record of a comparison"):
        comparison.rewrite(tmp_path)
