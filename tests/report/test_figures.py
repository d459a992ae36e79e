from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.report.made_report import held, make, record, without_positives
from tests.report.parsed import Page

from insula.report import figures
from insula.report.draw import Chart
from insula.report.record import Record


class Seen:
    """What a figure gives to its chart."""

    def __init__(self, figure: Callable[[Record], Any], shown: Record, monkeypatch: pytest.MonkeyPatch) -> None:
        self.marks: list[tuple[str, tuple[Any, ...], str]] = []
        for name in ("line", "band", "points", "stems", "stairs", "upright", "reference"):
            monkeypatch.setattr(Chart, name, self._keep(name))
        self.drawing = figure(shown)

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(chart: Chart, *given: Any, **more: Any) -> None:
            del chart
            said = [g for g in given if isinstance(g, str) and len(g) > 1] or [""]
            self.marks.append((name, given, said[0]))

        return keep

    def one(self, said: str) -> tuple[Any, ...]:
        found = [given for _, given, name in self.marks if name == said]
        assert len(found) == 1, [name for _, _, name in self.marks]
        return found[0]


def positive(shown: Record) -> Any:
    return shown["patient"]["classes"]["stroke"]


def test_the_curve_the_band_and_the_operating_point_are_those_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = Seen(figures.roc, record(), monkeypatch), positive(record())
    assert list(seen.one("ROC curve")[:2]) == found["roc"]
    assert list(seen.one("95% band over patients")[:3]) == record()["patient"]["curves"]["band"]
    x, y = seen.one("threshold in use")[:2]
    np.testing.assert_allclose(
        [x[0], y[0]], [1 - found["tn"] / (found["tn"] + found["fp"]), found["tp"] / (found["tp"] + found["fn"])]
    )
    assert f"area {found['figures']['roc_auc']['value']:.3f} (" in seen.drawing.caption


def test_readers_stand_beside_the_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    readers = [{"name": "A", "point": [0.1, 0.8]}, {"name": "B", "point": [None, 0.8]}]
    seen = Seen(figures.roc, {**record(), "readers": {"readers": readers}}, monkeypatch)
    assert seen.one("reader A")[:2] == ((0.1,), (0.8,))
    assert "reader B" not in [name for _, _, name in seen.marks]


def test_the_precision_recall_chart_shows_the_curve_and_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = Seen(figures.precision_recall, record(), monkeypatch), record()["pr_curve"]
    assert list(seen.one("precision at each threshold")[:2]) == [found["recall"], found["precision"]]
    assert seen.one("chance")[1] == (0.5, 0.5)
    figures_ = positive(record())["figures"]
    x, y = seen.one("threshold in use")[:2]
    assert (x[0], y[0]) == (figures_["sensitivity"]["value"], figures_["ppv"]["value"])


def test_curves_that_need_positives_are_left_out_without_any() -> None:
    made = figures.of(held(without_positives()))
    assert set(made) == {"reliability", "histogram", "confusion", "risk"}
    assert set(figures.of(record())) == {"roc", "pr", "decision", *made}


def test_long_names_of_classes_take_two_lines_that_can_still_be_read() -> None:
    names = ("no haemorrhage at all", "intraparenchymal haemorrhage", "subarachnoid haemorrhage with much beside it")
    svg = figures.confusion(held(make(names))).svg
    for part in ("no haemorrhage at", "all", "intraparenchymal", "haemorrhage", "subarachnoid"):
        assert f">{part}<" in svg
    for room, line in re.findall(r'textLength="(\d+)"[^>]*>([^<]*)<', svg):
        assert int(room) >= 0.69 * 7.2 * len(line), line


def test_the_reliability_diagram_shows_its_points_with_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, curves = Seen(figures.reliability, record(), monkeypatch), record()["patient"]["curves"]
    points = seen.one("3 bins of 8 patients")
    assert list(points[:2]) == [curves["reliability"]["predicted"], curves["reliability"]["observed"]]
    _, low, high = seen.one("95% interval")[:3]
    assert [list(pair) for pair in zip(low, high, strict=True)] == curves["observed"]
    for word in ("ECE", "slope", "intercept"):
        assert word in seen.drawing.caption


def test_the_histogram_counts_every_patient_and_marks_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = Seen(figures.histogram, record(), monkeypatch), positive(record())
    assert sum(seen.one(f"stroke (n = {found['tp'] + found['fn']})")[1]) == found["tp"] + found["fn"]
    assert sum(seen.one(f"normal (n = {found['tn'] + found['fp']})")[1]) == found["tn"] + found["fp"]
    assert seen.one("threshold 0.400")[0] == found["threshold"] == 0.4


def test_no_legend_lies_inside_a_chart() -> None:
    for name, drawing in figures.of(record()).items():
        inside = {e.text for e in Page(f"<body>{drawing.svg}</body>").all("text")}
        assert not inside & {key.text for key in drawing.legend}, name


def test_the_decision_curve_is_that_of_the_record_above_the_foot_of_the_chart(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, found = Seen(figures.decision, record(), monkeypatch), record()["decision_curve"]
    assert list(seen.one("act on the model's answer")[:2]) == [found["thresholds"], found["model"]]
    thresholds, everybody = seen.one("act on everybody")[:2]
    assert everybody == found["treat_all"][: len(everybody)]
    assert 5 < len(thresholds) < len(found["thresholds"])


def test_the_risk_chart_marks_what_the_policy_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, shares = Seen(figures.risk_coverage, record(), monkeypatch), record()["coverage"]
    x, y = seen.one("what the policy accepts")[:2]
    assert (x[0], y[0]) == (shares["accepted"]["value"], 1 - shares["accuracy_of_accepted"]["value"])


def texts(svg: str) -> list[str]:
    return [element.text for element in Page(f"<body>{svg}</body>").all("text")]


def test_the_confusion_matrix_shows_counts_and_shares_of_each_true_class() -> None:
    shown = held(make(("healthy", "benign", "malignant")))
    matrix = np.array(shown["patient"]["confusion"])
    want = [t for line in matrix for count in line for t in (str(count), f"{count / line.sum():.0%}")]
    assert [t for t in texts(figures.confusion(shown).svg) if t[0].isdigit()] == want
    assert matrix.sum() == shown["patient"]["patients"]


def test_the_confusion_matrix_of_labels_that_combine_is_that_of_the_positive_one() -> None:
    shown = held(make(("any", "subdural"), "multilabel"))
    c = shown["patient"]["classes"]["subdural"]
    said = texts(figures.confusion(shown).svg)
    assert [t for t in said if t.isdigit()] == [str(c[n]) for n in ("tn", "fp", "fn", "tp")]
    assert said.count("not subdural") == 2


@pytest.mark.parametrize("name", [r"$\frac{$ per x$^2$", "出血", "a & b < c", "n" * 90])
def test_any_class_name_can_be_drawn_as_it_is_written(name: str) -> None:
    said = texts(figures.confusion(held(make(("normal", name)))).svg)
    drawn = " ".join(said)
    assert "normal" in said
    for word in name.split():
        assert drawn.count(word[:15]) >= 2  # at its row and below its column, perhaps on two lines
