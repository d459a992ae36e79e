from __future__ import annotations

import re
from typing import Any

import pytest
from tests.report.made_audit import held, real

from insula.report import audit_page
from insula.report.audit_charts import TOGETHER, panel

POINTS = [[1.0, 0.1, 0.0, 0.2], [2.0, 0.2, 0.1, 0.3]]


def chart(title: str = "blur", **lines: Any) -> dict[str, Any]:
    return {"title": title, "x": "mm", "y": "lost", "lines": lines or {"ROC-AUC": POINTS, "sensitivity": POINTS}}


def ticks(svg: str) -> list[str]:
    """What is written beside the y axis."""
    return re.findall(r'text-anchor="end"[^>]*>([^<]+)<', svg)


def dots(svg: str) -> list[float]:
    return [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="(-?[\d.]+)"', svg)]


def test_charts_with_the_same_lines_share_one_legend() -> None:
    made = panel([chart("a"), chart("b")])
    assert [key.text for key in made.legend] == ["ROC-AUC", "sensitivity", "95% interval"]
    assert [drawing.legend for drawing in made.drawings] == [(), ()]
    apart = panel([chart("a"), chart("b", other=POINTS)])
    assert apart.legend == ()
    assert [key.text for key in apart.drawings[1].legend] == ["other", "95% interval"]


def test_a_chart_without_any_interval_shares_the_legend_of_the_others() -> None:
    flat = [[1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]]
    made = panel([chart("a"), chart("b", **{"ROC-AUC": flat, "sensitivity": flat})])
    assert [key.text for key in made.legend] == ["ROC-AUC", "sensitivity", "95% interval"]
    assert [drawing.legend for drawing in made.drawings] == [(), ()]
    turned = panel([chart("a"), chart("b", **{"sensitivity": flat, "ROC-AUC": flat})])  # blue is another line there
    assert turned.legend == ()


def test_more_lines_than_can_be_told_apart_become_a_drawing_each() -> None:
    few: dict[str, Any] = {f"l{i}": POINTS for i in range(TOGETHER)}
    assert len(panel([chart(**few)]).drawings) == 1
    many = panel([chart(**few, one_more=POINTS)])
    assert [drawing.title for drawing in many.drawings] == [*(f"blur: l{i}" for i in range(TOGETHER)), "blur: one_more"]


def test_charts_of_one_axis_have_one_scale_that_holds_zero_and_every_interval() -> None:
    wide = panel([chart("a"), chart("b", x=[[1.0, 0.5, -0.31, 0.9], [3.0, 0.5, 0.2, 0.9]])])
    first, second = (ticks(drawing.svg) for drawing in wide.drawings)
    assert first == second
    values = [float(tick.replace("−", "-")) for tick in first]
    assert min(values) <= -0.31
    assert max(values) >= 0.9
    assert "0" in first


def test_lines_differ_by_more_than_colour() -> None:
    svg = panel([chart()]).drawings[0].svg
    lines = re.findall(r'<path d="[^"]*" class="s-[ab]"[^>]*stroke-width="2"[^>]*>', svg)
    assert ["stroke-dasharray" in line for line in lines] == [False, True]
    assert svg.count("f-paper") == len(POINTS)


def test_points_without_a_value_are_left_out_and_those_without_an_interval_have_no_band() -> None:
    gap = [[1.0, 0.1, 0.0, 0.2], [2.0, None, None, None], [3.0, 0.3, None, None]]
    drawing = panel([chart(a=gap)]).drawings[0]
    assert len(dots(drawing.svg)) == 2
    assert "fill-opacity" not in drawing.svg
    assert "nan" not in drawing.svg.lower()


@pytest.mark.parametrize("points", [[], [[1.0, None, None, None]]])
def test_a_chart_of_nothing_says_so(points: Any) -> None:
    drawing = panel([chart(a=points)]).drawings[0]
    assert drawing.caption == "nothing could be measured"
    assert drawing.legend == ()


@pytest.mark.parametrize("points", [[[2.0, 0.1, 0.05, 0.2]], [[0.0, 0.0, 0.0, 0.0]], [[5.0, 1e-13, 0.0, 0.0]]])
def test_a_single_strength_and_a_loss_of_nothing_can_be_drawn(points: Any) -> None:
    drawing = panel([chart(a=points)]).drawings[0]
    assert len(dots(drawing.svg)) == 1
    assert "nan" not in drawing.svg.lower()


def test_every_corruption_of_a_real_audit_has_its_own_drawing_with_both_losses() -> None:
    part = next(one for one in held(real())["parts"] if one["name"] == "robustness")
    made = panel(part["charts"])
    assert [drawing.title for drawing in made.drawings] == [one["title"] for one in part["charts"]]
    assert [key.text for key in made.legend] == ["ROC-AUC", "sensitivity", "95% interval"]
    assert all(len(dots(drawing.svg)) == 10 for drawing in made.drawings)
    assert audit_page.render(held(real())).count('role="img"') == len(made.drawings)
