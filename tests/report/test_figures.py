from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing
from tests.report.made_report import make, plain, without_positives
from tests.report.parsed import Page

from insula.evaluate.facts import Facts
from insula.evaluate.outcome import Level
from insula.report import figures


def axes_of(figure: Callable[[Level, Facts], str | None], monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a figure draws for the plain report, before it becomes SVG."""
    axes = Drawing().add_subplot()
    monkeypatch.setattr(figures, "_svg", lambda _name, _title, _size, draw: draw(axes) or "")
    assert figure(plain().patient, plain().facts) == ""
    return axes


def test_the_curve_and_the_operating_point_are_those_of_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = axes_of(figures.roc, monkeypatch)
    found = plain().positive
    _, curve, point = axes.lines
    assert found.roc is not None
    np.testing.assert_allclose(curve.get_data(), found.roc)
    want = 1 - found.tn / (found.tn + found.fp), found.tp / (found.tp + found.fn)
    np.testing.assert_allclose(np.ravel(point.get_data()), want)
    assert plain().patient.curves.band is not None
    assert "95% band over patients" in axes.get_legend_handles_labels()[1]


def test_there_is_no_curve_without_positives() -> None:
    assert figures.roc(without_positives().patient, without_positives().facts) is None


def test_the_reliability_diagram_shows_its_points_with_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = axes_of(figures.reliability, monkeypatch)
    curves = plain().patient.curves
    np.testing.assert_allclose(axes.lines[1].get_data(), (curves.reliability.predicted, curves.reliability.observed))
    ends = [segment[:, 1] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(ends, curves.observed)


def test_the_histogram_counts_every_patient_and_marks_the_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = axes_of(figures.histogram, monkeypatch)
    labels = axes.get_legend_handles_labels()[1]
    found = plain().positive
    assert labels[0] == f"stroke (n = {found.tp + found.fn})"
    assert labels[1] == f"normal (n = {found.tn + found.fp})"
    assert axes.lines[0].get_xdata()[0] == found.threshold == 0.4


def texts(svg: str) -> list[str]:
    return [element.text for element in Page(f"<body>{svg}</body>").all("text")]


def test_the_confusion_matrix_shows_counts_and_shares_of_each_true_class() -> None:
    report = make(("healthy", "benign", "malignant"))
    matrix = np.array(report.patient.confusion)
    want = [t for line in matrix for count in line for t in (str(count), f"{count / line.sum():.0%}")]
    assert [t for t in texts(figures.confusion(report.patient, report.facts)) if t[0].isdigit()] == want
    assert matrix.sum() == report.patient.patients


def test_the_confusion_matrix_of_labels_that_combine_is_that_of_the_positive_one() -> None:
    report = make(("any", "subdural"), "multilabel")
    c = report.positive
    shown = texts(figures.confusion(report.patient, report.facts))
    assert [t for t in shown if t.isdigit()] == [str(n) for n in (c.tn, c.fp, c.fn, c.tp)]
    assert shown.count("not subdural") == 2


@pytest.mark.parametrize("name", [r"$\frac{$ per x$^2$", "出血", "a & b < c", "n" * 90])
def test_any_class_name_can_be_drawn_as_it_is_written(name: str) -> None:
    report = make(("normal", name))
    svg = figures.confusion(report.patient, report.facts)
    shown = name if len(name) < 25 else f"{name[:23]}…"
    assert texts(svg).count(shown) == 2
