"""How much each slice counted: the weights that the network pools by, beside each slice's share of the heat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from insula.core.types import Heatmap
from insula.infer.heatmap import totals

_WIDE, _TALL, _LEFT, _BOTTOM = 640, 160, 48, 22


@dataclass(frozen=True)
class Row:
    """One slice of one scan: its share of the pooling, and of all heat above 0 in the case (None where there is none).

    A map of one cell a slice holds no place, and its heat is a share like the weight.
    """

    scan: str
    slice: int
    weight: float
    heat: float | None


def rows(heatmaps: Mapping[str, Heatmap], class_index: int) -> tuple[Row, ...]:
    """Every slice that the heat maps show, scan by scan."""
    each = {scan: totals(heat, class_index) for scan, heat in heatmaps.items()}
    # cells of scans are of different sizes: each scan's heat is a mean over its picture, so that they can be compared
    mean = {scan: values / np.prod(heatmaps[scan].array.shape[2:]) for scan, values in each.items()}
    whole = float(sum(values.sum() for values in mean.values()))
    return tuple(
        Row(scan, number, float(heat.weights[i]), float(mean[scan][i]) / whole if whole > 0 else None)
        for scan, heat in heatmaps.items()
        for i, number in enumerate(heat.slices)
    )


def csv(found: Sequence[Row]) -> str:
    """The rows as a table with a header; slices count from 0."""
    lines = ["scan,slice,weight,heat_share"]
    lines += [f"{r.scan},{r.slice},{r.weight:.6f},{'' if r.heat is None else f'{r.heat:.6f}'}" for r in found]
    return "\n".join(lines) + "\n"


def chart(found: Sequence[Row], scan: str) -> str:
    """One scan's weights as bars over its slices, counted from 1, the share of heat as a line, in an SVG of its own."""
    own = [r for r in found if r.scan == scan]
    top = max([r.weight for r in own] + [r.heat or 0.0 for r in own] + [1e-9])
    width = (_WIDE - _LEFT - 8) / len(own)

    def place(i: int, value: float) -> tuple[float, float]:
        return _LEFT + (i + 0.5) * width, 8 + (_TALL - 8 - _BOTTOM) * (1 - value / top)

    base = _TALL - _BOTTOM
    bars = []
    for i, row in enumerate(own):
        x, y = place(i, row.weight)
        bars.append(
            f'<rect x="{x - 0.4 * width:.2f}" y="{y:.2f}" width="{0.8 * width:.2f}" height="{base - y:.2f}">'
            f"<title>slice {row.slice + 1}: weight {row.weight:.3f}</title></rect>"
        )
    line = " ".join("{:.2f},{:.2f}".format(*place(i, r.heat)) for i, r in enumerate(own) if r.heat is not None)
    marks = sorted({0, len(own) // 2, len(own) - 1})
    ticks = "".join(
        f'<text x="{place(i, 0)[0]:.2f}" y="{_TALL - 6}" text-anchor="middle">{own[i].slice + 1}</text>' for i in marks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_TALL}" width="{_WIDE}" height="{_TALL}" '
        'font-family="sans-serif" font-size="11" role="img">'
        "<title>Weight of each slice (bars) and its share of the heat (line); slices count from 1</title>"
        f'<rect width="{_WIDE}" height="{_TALL}" fill="#fff"/><g fill="#5d7fa3">{"".join(bars)}</g>'
        + (f'<polyline points="{line}" fill="none" stroke="#b3541e" stroke-width="2"/>' if line else "")
        + f'<path d="M{_LEFT} 8V{base}H{_WIDE - 8}" fill="none" stroke="#444"/>'
        f'<text x="{_LEFT - 6}" y="16" text-anchor="end">{top:.2g}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">0</text>{ticks}</svg>\n'
    )
