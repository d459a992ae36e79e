from __future__ import annotations

import re

import pytest
from tests.report.parsed import Page

from insula.report.draw import COLOURS, DASHES, UNIT, Axis, Chart, round_ticks, strip

NAN = float("nan")


def chart(low: float = 0.0, high: float = 1.0) -> Chart:
    return Chart("A chart", Axis(0, 1, "across", UNIT), Axis(low, high, "up"))


def path(svg: str, series: str) -> list[list[float]]:
    """The points of the first line of a series."""
    d = re.search(rf'<path d="([^"]*)" class="s-{series}"', svg)
    assert d is not None
    return [[float(v) for v in point.split()] for point in re.split("[ML]", d[1]) if point]


@pytest.mark.parametrize(
    ("low", "high", "want"),
    [
        (0, 1, (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (0, 7, (0, 2, 4, 6)),
        (-0.3, 0.9, (-0.2, 0, 0.2, 0.4, 0.6, 0.8)),
        (0, 2120, (0, 500, 1000, 1500, 2000)),
        (0, 0.0031, (0, 0.001, 0.002, 0.003)),
        (5, 5, (5,)),
    ],
)
def test_ticks_are_round_numbers_within_the_axis(low: float, high: float, want: tuple[float, ...]) -> None:
    assert round_ticks(low, high) == pytest.approx(want)


def test_a_point_lies_where_the_axes_say() -> None:
    made = chart()
    left, bottom = made.place(0, 0)
    right, top = made.place(1, 1)
    assert made.place(0.25, 0.5) == pytest.approx((left + (right - left) / 4, (top + bottom) / 2))
    assert 0 < left < right < made.width
    assert 0 < top < bottom < made.height


def test_a_line_goes_through_its_points_and_breaks_where_one_is_missing() -> None:
    made = chart()
    made.line((0, 0.5, 1), (0, 1, 0.5), "a", "a line")
    got = path(made.done().svg, "a")
    want = [made.place(x, y) for x, y in ((0, 0), (0.5, 1), (1, 0.5))]
    for point, place in zip(got, want, strict=True):
        assert point == pytest.approx(place, abs=0.051)
    broken = chart()
    broken.line((0, 0.2, 0.4, 0.6, 0.8), (0, 1, NAN, 1, 0), "a")
    assert re.search(r'd="(M[^"]*)"', broken.parts[0])[1].count("M") == 2  # type: ignore[index]


def test_nothing_is_drawn_outside_the_axes() -> None:
    made = chart(-0.1, 0.4)
    made.line((0, 1), (0.3, -9), "a")
    made.band((0, 1), (-9, -9), (9, 9), "b")
    made.stems((0.5,), (-9,), (9,), "c")
    top, bottom = made.place(0, 0.4)[1], made.place(0, -0.1)[1]
    for part in made.parts:
        heights = [float(v) for v in re.findall(r"[\d.]+ ([\d.]+)|V([\d.]+)", part)[0] if v]
        assert all(top - 0.1 <= h <= bottom + 0.1 for h in heights)


def test_equal_points_are_drawn_once_so_that_large_curves_stay_small() -> None:
    made = chart()
    made.line([i / 99_999 for i in range(100_000)], [0.5] * 100_000, "a")
    assert len(made.done().svg) < 60_000


def test_every_mark_with_a_name_is_in_the_legend_and_no_other() -> None:
    made = chart()
    made.reference((0, 1), (0, 1), "chance")
    made.band((0, 1), (0, 0), (1, 1), "a", "band")
    made.line((0, 1), (0, 1), "a", "line", "dash")
    made.line((0, 1), (1, 0), "b")
    made.points((0.5,), (0.5,), "c", "point")
    made.stems((0.5,), (0,), (1,), "d", "stem")
    made.stairs((0, 0.5, 1), (0.2, 0.4), "e", "stairs")
    made.upright(0.5, "limit")
    done = made.done("said below")
    assert [key.text for key in done.legend] == ["chance", "band", "line", "point", "stem", "stairs", "limit"]
    assert "<text" not in "".join(key.svg for key in done.legend)
    assert DASHES["dash"] in done.legend[2].svg
    assert (done.title, done.caption) == ("A chart", "said below")
    for svg in (done.svg, *(key.svg for key in done.legend)):
        assert Page(f"<body>{svg}</body>").all("svg")


def test_names_are_text_and_ticks_are_written_as_asked() -> None:
    made = Chart('a < b & "c"', Axis(0, 1, "<i>x</i>", (0.0, 0.5), percent=True), Axis(-1, 1, "y"))
    svg = made.done().svg
    page = Page(f"<body>{svg}</body>")
    assert page.all("svg")[0].attributes["aria-label"] == 'a < b & "c"'
    said = [e.text for e in page.all("text")]
    assert {"<i>x</i>", "50%", "−0.5"} <= set(said)


def test_a_strip_shows_where_nought_lies() -> None:
    svg = strip(0.5, (-0.25, 1.0), 1.0)
    ends = re.search(r"M([\d.]+) 8H([\d.]+)", svg)
    dot = re.search(r'cx="([\d.]+)"', svg)
    assert ends is not None
    assert dot is not None
    assert [float(ends[1]), float(dot[1]), float(ends[2])] == [60 - 13.5, 60 + 27, 60 + 54]


def test_series_differ_from_each_other() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert len(set(DASHES.values())) == len(DASHES)


def test_bars_lie_upon_each_other_and_an_empty_one_is_not_drawn() -> None:
    made = Chart("Bars", Axis(-0.5, 1.5, "day"), Axis(0, 4, "answers"))
    made.bars((0, 1), (0, 0), (3, 2), "a", "accepted")
    made.bars((0, 1), (3, 2), (4, 2), "b", "referred", 0.4)
    found = [
        {name: float(value) for name, value in re.findall(r' (x|y|width|height)="([\d.]+)"', part)}
        for part in made.parts
        if part.startswith("<rect")
    ]
    assert len(found) == 3
    for held, (x, top, bottom) in zip(found, ((0, 3, 0), (1, 2, 0), (0, 4, 3)), strict=True):
        (left, up), (right, down) = made.place(x - 0.4, top), made.place(x + 0.4, bottom)
        want = {"x": left, "y": up, "width": right - left, "height": down - up}
        assert held == pytest.approx(want, abs=0.1)
    assert [key.text for key in made.legend] == ["accepted", "referred"]


def test_an_axis_can_say_names_in_place_of_numbers() -> None:
    assert Axis(0, 2, "month", (0.0, 2.0), said=("2026-01", "2026-03")).marks() == ((0.0, "2026-01"), (2.0, "2026-03"))
