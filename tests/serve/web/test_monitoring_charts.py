from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np
import pytest

from insula.metrics.intervals import Figure
from insula.serve.monitor.accuracy import Month
from insula.serve.monitor.daily import Day
from insula.serve.monitor.drift import Channel, Course
from insula.serve.web import monitoring_charts as charts
from insula.serve.web.language import gettext_of

pytestmark = pytest.mark.serve
SAY = gettext_of("de")


def course(values: np.ndarray, found_after: int | None = None, limit: float = 2.5) -> Course:
    top = float(values.max(initial=0.0))
    end = float(values[-1]) if len(values) else 0.0
    one = Channel("x", "pass", end, top, limit, 1.0, len(values), found_after, "first served cases", 9, 0.0, 0.0)
    return Course(one, values)


def figure(value: float, interval: tuple[float, float] | None = (0.2, 0.9)) -> Figure:
    return Figure(value, interval, "", 5, 5, 2)


def test_a_channel_has_its_limit_and_says_when_it_was_first_reported() -> None:
    drawn = charts.drift(course(np.linspace(0.0, 4.0, 40), 25), "Helligkeit", SAY)
    assert drawn is not None
    assert drawn.title == "Helligkeit"
    assert [key.text for key in drawn.legend] == [
        "ab hier wird Drift gemeldet",
        "Evidenz, dass sich etwas geändert hat",
        "zuerst gemeldet",
    ]
    quiet = charts.drift(course(np.zeros(1)), "x", SAY)
    assert quiet is not None
    assert len(quiet.legend) == 2
    assert charts.drift(course(np.zeros(0)), "x", SAY) is None


def test_a_long_line_is_thinned_and_keeps_its_peak() -> None:
    values = np.zeros(10_000)
    values[7777] = 2.0
    drawn = charts.drift(course(values, limit=2.0), "x", SAY)
    assert drawn is not None
    line = re.search(r'<path d="([^"]+)" class="s-a"', drawn.svg)
    assert line is not None
    points = [[float(v) for v in point.split()] for point in re.split("[ML]", line[1]) if point]
    limit = re.search(r'<path d="M[\d.]+ ([\d.]+)L[\d.]+ [\d.]+" class="s-b"', drawn.svg)
    assert limit is not None
    assert len(points) <= 200
    assert min(down for _, down in points) == float(limit[1]), "the peak touches the limit"


def test_months_show_each_figure_that_has_a_value_with_its_interval() -> None:
    nan = float("nan")
    found = [
        Month("2026-01", {"accuracy": figure(0.5), "sensitivity": figure(nan, None), "specificity": figure(0.7)}),
        Month("2026-02", {"accuracy": figure(0.6, None), "sensitivity": figure(0.4), "specificity": figure(0.8)}),
    ]
    drawn = charts.months(found, SAY)
    assert drawn is not None
    assert drawn.svg.count("<circle") == 5
    assert drawn.svg.count('stroke-opacity=".6"') == 4
    assert ">2026-01<" in drawn.svg
    nothing = {key: figure(nan, None) for key in ("accuracy", "sensitivity", "specificity")}
    assert charts.months([Month("2026-01", nothing)], SAY) is None
    assert charts.months([], SAY) is None


def test_days_are_stacked_by_what_was_done() -> None:
    first = date(2026, 3, 1)
    found = [Day(first + timedelta(days=k), {"accept": 3, "refer": 1} if k == 2 else {}) for k in range(30)]
    drawn = charts.days(found, SAY)
    assert drawn is not None
    bars = re.findall(r'<rect x="[\d.]+" y="([\d.]+)" width="[\d.]+" height="([\d.]+)" class="s-(\w)', drawn.svg)
    assert [series for _, _, series in bars] == ["a", "b"]
    (low, high, _), (top, part, _) = bars
    assert float(top) + float(part) == pytest.approx(float(low), abs=0.11), "one stands on the other"
    assert float(high) == pytest.approx(3 * float(part), abs=0.5)
    assert ">03-30<" in drawn.svg
    assert [key.text for key in drawn.legend] == ["angenommen", "überwiesen", "abgelehnt"]
    assert charts.days(found[5:], SAY) is None
