from __future__ import annotations

from xml.etree import ElementTree as ET

import numpy as np
import pytest

from insula.core.types import Heatmap
from insula.infer import slice_weights


def maps() -> dict[str, Heatmap]:
    array = np.zeros((1, 3, 2, 2), np.float32)
    array[0, 0] = 1.0
    array[0, 2] = [[6.0, -50.0], [0.0, 6.0]]
    other = np.full((1, 1, 4, 4), 1.0, np.float32)
    return {
        "ct": Heatmap(array, (0, 1, 2), np.array([0.2, 0.3, 0.5], np.float32)),
        "mri": Heatmap(other, (7,), np.ones(1, np.float32)),
    }


def test_shares_of_heat_are_over_the_case_and_what_is_below_zero_counts_nothing() -> None:
    rows = slice_weights.rows(maps(), 0)
    assert [(r.scan, r.slice) for r in rows] == [("ct", 0), ("ct", 1), ("ct", 2), ("mri", 7)]
    assert [r.weight for r in rows] == pytest.approx([0.2, 0.3, 0.5, 1.0])
    # the mean over a picture: 1, 0, 3, 1 of 5
    assert [r.heat for r in rows] == pytest.approx([0.2, 0.0, 0.6, 0.2])


def test_without_heat_there_is_no_share() -> None:
    cold = {"ct": Heatmap(np.zeros((1, 2, 2, 2), np.float32), (0, 1), np.full(2, 0.5, np.float32))}
    rows = slice_weights.rows(cold, 0)
    assert [r.heat for r in rows] == [None, None]
    assert slice_weights.csv(rows).splitlines() == ["scan,slice,weight,heat_share", "ct,0,0.500000,", "ct,1,0.500000,"]


def test_the_chart_is_drawn_to_scale() -> None:
    svg = slice_weights.chart(slice_weights.rows(maps(), 0), "ct")
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    bars = [float(r.attrib["height"]) for r in root.findall(f"{space}g/{space}rect")]
    assert len(bars) == 3
    assert bars[2] / bars[0] == pytest.approx(2.5, rel=0.01)
    assert bars[1] / bars[0] == pytest.approx(1.5, rel=0.01)
    line = root.find(f"{space}polyline")
    assert line is not None
    ys = [float(point.split(",")[1]) for point in line.attrib["points"].split()]
    assert ys[2] < ys[0] < ys[1]
    assert [t.text for t in root.findall(f"{space}text")][-3:] == ["1", "2", "3"]
    assert "slice 3: weight 0.500" in svg  # a person reads it; the table counts from 0
