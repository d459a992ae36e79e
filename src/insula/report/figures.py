"""The report's figures as inline SVG, the same bytes for the same numbers."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing

from insula.evaluate.facts import Facts
from insula.evaluate.outcome import Level

INK, PALE, GRID = "#1f3a5f", "#9db4cf", "#dde3ea"
SERIES = ("#1f3a5f", "#c8553d", "#5b8e7d", "#8d6a9f", "#b08d3c", "#4c86a8", "#7a7a7a", "#a63d63")
_LONGEST = 24
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": "#7a8794",
    "axes.linewidth": 0.8,
    "axes.labelcolor": "#27323d",
    "xtick.color": "#56616c",
    "ytick.color": "#56616c",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "path.simplify": False,
}


def roc(level: Level, facts: Facts) -> str | None:
    """The ROC curve of the positive class with its pointwise 95% band and the operating point; None without one."""
    found = level.classes[facts.positive]
    curve = found.roc
    if curve is None:
        return None

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GRID, lw=1, zorder=1)
        if level.curves.band:
            x, low, high = level.curves.band
            axes.fill_between(x, low, high, color=PALE, alpha=0.45, lw=0, label="95% band over patients")
        axes.plot(*curve, color=INK, lw=1.8, label="ROC curve")
        sensitivity, specificity = found.figures["sensitivity"].value, found.figures["specificity"].value
        if np.isfinite(sensitivity + specificity):
            axes.plot(
                [1 - specificity],
                [sensitivity],
                "o",
                ms=7,
                mfc="white",
                mec=SERIES[1],
                mew=1.8,
                label="threshold used",
            )
        axes.set(xlabel="1 − specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), aspect="equal")
        axes.legend(loc="lower right")

    return _svg("roc", f"ROC curve of {facts.positive}", (4.4, 4.2), draw)


def reliability(level: Level, facts: Facts) -> str:
    """Observed share against predicted probability in bins of equal mass, with Wilson's intervals."""
    points, spread = level.curves.reliability, np.array(level.curves.observed)

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color=GRID, lw=1, zorder=1, label="perfect calibration")
        x, y = np.array(points.predicted), np.array(points.observed)
        axes.vlines(x, spread[:, 0], spread[:, 1], color=PALE, lw=2.2, label="95% interval")
        axes.plot(x, y, "o-", color=INK, lw=1, ms=4.5, label="observed")
        axes.set(
            xlabel=f"predicted probability of {_short(facts.positive)}",
            ylabel="observed share",
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.02),
            aspect="equal",
        )
        axes.legend(loc="upper left")

    return _svg("reliability", f"Reliability diagram of {facts.positive}", (4.4, 4.2), draw)


def confusion(level: Level, facts: Facts) -> str:
    """The confusion matrix with counts and shares of each true class; of the positive label where labels combine."""
    if level.confusion is not None:
        names, matrix = tuple(map(_short, facts.classes)), np.array(level.confusion)
    else:
        c = level.classes[facts.positive]
        positive = _short(facts.positive)
        names, matrix = (f"not {positive}", positive), np.array([[c.tn, c.fp], [c.fn, c.tp]])
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)

    def draw(axes: Any) -> None:
        palette = mpl.colors.LinearSegmentedColormap.from_list("calm", ["#f6f8fa", "#1f3a5f"])
        axes.pcolormesh(shares, cmap=palette, vmin=0, vmax=1, edgecolors="white", linewidth=2)
        for i in range(len(names)):
            for j in range(len(names)):
                colour = "white" if shares[i, j] > 0.5 else "#27323d"
                axes.text(j + 0.5, i + 0.44, str(matrix[i, j]), ha="center", va="center", color=colour, fontsize=12)
                axes.text(
                    j + 0.5, i + 0.70, f"{shares[i, j]:.0%}", ha="center", va="center", color=colour, fontsize=8.5
                )
        ticks = np.arange(len(names)) + 0.5
        axes.set_xticks(ticks, names, rotation=30 if len(names) > 3 else 0, ha="right" if len(names) > 3 else "center")
        axes.set_yticks(ticks, names, rotation=90 if len(names) < 4 else 0, va="center")
        axes.set(xlabel="answer", ylabel="truth", aspect="equal")
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)

    return _svg("confusion", "Confusion matrix", (4.4, 4.2), draw)


def histogram(level: Level, facts: Facts) -> str:
    """How the predicted probabilities of the positive class spread, by true class, with the threshold."""
    curves = level.curves
    edges = np.array(curves.edges)

    def draw(axes: Any) -> None:
        for i, (name, numbers) in enumerate(_positive_first(curves.histogram, facts.positive)):
            colour = SERIES[1] if name == facts.positive else SERIES[(0, 2, 3, 4, 5, 6, 7)[(i - 1) % 7]]
            axes.stairs(numbers, edges, color=colour, lw=1.6, label=f"{_short(name)} (n = {sum(numbers)})")
            axes.stairs(numbers, edges, color=colour, alpha=0.14, fill=True)
        axes.axvline(facts.threshold(facts.positive), color="#27323d", lw=1, ls=(0, (4, 3)), label="threshold")
        axes.set(xlabel=f"predicted probability of {_short(facts.positive)}", ylabel=f"{level.name}s", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend(loc="best")

    return _svg("histogram", "Predicted probabilities by true class", (4.4, 4.2), draw)


def _positive_first(histogram: Any, positive: str) -> list[tuple[str, tuple[int, ...]]]:
    return sorted(histogram.items(), key=lambda item: item[0] != positive)


def _short(name: str) -> str:
    """A class name that leaves room for the axes."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _svg(name: str, title: str, size: tuple[float, float], draw: Callable[[Any], None]) -> str:
    """An `<svg>` element with a title for screen readers and without any address of a third party."""
    style: Any = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style), warnings.catch_warnings():
        # The text is drawn by the reader's browser, whose fonts know more scripts than ours.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        drawing = Drawing(figsize=size, layout="constrained")
        FigureCanvasSVG(drawing)
        draw(drawing.add_subplot())
        stream = io.StringIO()
        drawing.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    text = re.sub(r'(<\w+) id="([^"]*)"', lambda tag: tag[0] if f"#{tag[2]}" in text else tag[1], text)
    label = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
