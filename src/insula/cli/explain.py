"""`insula explain`: where in a scan a score comes from, by one of several methods."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option, on_terminal
from insula.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from insula.core.types import Decision, Heatmap
    from insula.infer.explained_files import Drawing, Shown
    from insula.infer.explainer import Asked, Explained, Patch
    from insula.infer.feed import Views

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH)
@click.argument("scan", type=_PATH, required=False)
@click.option("--scan", "by_role", multiple=True, metavar="ROLE=PATH", help="A scan of the case; once for each scan.")
@click.option("--with", "known", multiple=True, metavar="NAME=VALUE", help="A clinical column of the case, as age=63.")
@click.option("--out", required=True, type=_PATH, help="Folder for the pictures and the heat map.")
@click.option(
    "--method",
    default="class_map",
    show_default=True,
    metavar="NAME",
    help="class_map, occlusion, grad_cam_pp, integrated_gradients, guided_backprop or attention_rollout.",
)
@click.option("--class", "class_name", help="The class whose score it is; the decided one when left out.")
@click.option("--target", help="The question, where the recipe has several; the first when left out.")
@click.option("--top", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many slices to draw.")
@click.option(
    "--by",
    type=click.Choice(["heat", "weight"]),
    default="heat",
    show_default=True,
    help="Which slices those are: with most heat, or with most weight in the pooling.",
)
@click.option("--slices", metavar="LIST", help="The slices to draw in place of the top ones, as 3,7-9, from 1.")
@click.option("--window", metavar="CENTRE,WIDTH", help="Show the scan in this window (HU for CT), as 40,80.")
@click.option("--channel", type=click.IntRange(0), default=0, show_default=True, help="Which of the recipe's windows.")
@click.option("--opacity", type=Finite(0, 1), default=0.7, show_default=True, help="Of the strongest heat.")
@click.option("--colours", default="inferno", show_default=True, help="inferno, viridis or cividis.")
@click.option(
    "--size", type=click.IntRange(0, 4096), default=384, show_default=True, help="Pixels of a picture's side at least."
)
@click.option("--patch", type=click.IntRange(1), help="occlusion: pixels a side; an eighth of the picture if left out.")
@click.option("--stride", type=click.IntRange(1), help="occlusion: pixels between patches; half of one if left out.")
@click.option(
    "--depth", type=click.IntRange(1), default=1, show_default=True, help="occlusion: slices covered at a time."
)
@click.option(
    "--fill",
    type=click.Choice(["blur", "mean"]),
    default="blur",
    show_default=True,
    help="occlusion: covered with the slice's own blurred picture or its mean.",
)
@click.option(
    "--measure",
    type=click.Choice(["score", "probability"]),
    default="score",
    show_default=True,
    help="occlusion: what drops.",
)
@click.option(
    "--steps", type=click.IntRange(2, 1000), default=50, show_default=True, help="integrated_gradients: steps."
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of one prediction.")
@click.option("--series", metavar="UID|NUMBER", help="The series to take where a SCAN holds several.")
@json_option
def explain(
    bundle: Path,
    scan: Path | None,
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    out: Path,
    method: str,
    class_name: str | None,
    target: str | None,
    threads: int | None,
    series: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Show where in SCAN the score of a class comes from.

    OUT gets overlays (PNG) of the slices with most heat, the heat map (NIfTI) in the scan's own frame, its projections
    or the map of a slide's tiles, and the weights of the slices. It says where a score comes from, not whether it is
    right.
    class_map and occlusion need the bundle alone, the other methods PyTorch.
    """
    from insula.bundle.load import load
    from insula.cli.case import pairs, split
    from insula.explain.ask import column, looked_at
    from insula.explain.methods import SIGNED
    from insula.explain.methods import method as find
    from insula.infer import explained_files, heatmap
    from insula.infer.decide import decide
    from insula.infer.predict import Predictor
    from insula.infer.read_case import read_case
    from insula.infer.writers import as_dict
    from insula.scans.sandbox import shared

    if (scan is None) == (not by_role):
        raise UsageError("Give either one SCAN, or the scans of one case by --scan ROLE=PATH.")
    explainer = find(method)
    pool = shared().start()
    predictor = Predictor(load(bundle), threads)
    recipe = predictor.bundle.recipe
    one = [(recipe.role, scan)] if scan is not None else pairs(by_role, recipe, "--scan")
    read = read_case(one, predictor, pool, series)
    attributes = {**read.headers, **dict(split(text, "--with") for text in known)}
    needed = recipe.policy.refer.sources
    prediction = predictor.from_slices(read.views, one[0][1].name, 0, read.cautions, attributes, needed)
    decision = decide(prediction, predictor.bundle)
    name, label, at = column(recipe, prediction, decision.label, target, class_name, method, options["measure"])
    drawing = _drawing(options, tuple(read.volumes))
    asked = _asked(predictor, read.views, at, attributes, options)
    if method == "occlusion":
        asked = looked_at(asked, prediction.heatmaps, drawing)
    explained = explainer(asked)
    caution = "The policy rejects this scan: of a score that nobody should use." if decision.action == "reject" else ""
    files, shown = explained_files.write(explained, read.views, read.volumes, recipe, out, label, drawing, caution)
    tops = {scan: heatmap.class_scale(heat, 0, explained.brightest) for scan, heat in explained.heatmaps.items()}
    lines = [
        f"{prediction.case}: {_said(decision)}.",
        *(f"  referred: {reason}" for reason in decision.reasons if decision.action == "refer"),
        f"Where the score of '{label}' comes from, by {method}:",
        *_lines(shown, explained.heatmaps),
        *_bars(explained, read.views, tops),
        *(f"Note: {note}." for note in explained.notes),
        *(["Heat below 0 lowers the score; it stands in the heat map and is not drawn."] if method in SIGNED else []),
        heatmap.NO_PROOF,
        f"Written: {len(files)} files in {out}. Slices count from 1. Research use only.",
    ]
    data = {
        **as_dict(prediction, decision),
        "class": label,
        "of": name,
        "method": method,
        "unit": explained.unit,
        "bar_top": tops,
        "notes": list(explained.notes),
        "slices": [_as_dict(s) for s in shown],
        "files": [str(file) for file in files],
    }
    emit(as_json, data, "\n".join(lines))


def _asked(predictor: Any, views: Any, column: int, attributes: dict[str, str], options: dict[str, Any]) -> Asked:
    from insula.explain.ask import PART
    from insula.infer.explainer import Asked, Patch

    height = predictor.engine.input_shapes[predictor.bundle.recipe.role][1]
    size = options["patch"] or max(1, height // PART)
    patch: Patch = Patch(size, options["stride"] or max(1, size // 2), options["depth"], options["fill"])
    return Asked(
        predictor,
        views,
        column,
        attributes,
        patch=patch,
        measure=options["measure"],
        steps=options["steps"],
        progress=_bar(),
    )


def _drawing(options: dict[str, Any], scans: tuple[str, ...]) -> Drawing:
    from insula.infer.colours import NAMES
    from insula.infer.explained_files import Drawing
    from insula.infer.overlay import Style

    if options["colours"] not in NAMES:
        raise UsageError(f"There is no colour map '{options['colours']}'; known are: {', '.join(NAMES)}.")
    return Drawing(
        Style(options["colours"], options["opacity"], options["size"]),
        _window(options["window"]),
        options["channel"],
        options["top"],
        options["by"],
        dict.fromkeys(scans, _numbers(options["slices"])) if options["slices"] else {},
    )


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--window '{text}' is not of the form CENTRE,WIDTH; write it as 40,80.") from None
    return centre, width


def _numbers(text: str) -> tuple[int, ...]:
    """The slices of 3,7-9, which count from 1, as they count from 0."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part)
        if match is None or not 1 <= int(match[1]) <= int(match[2] or match[1]):
            raise UsageError(f"--slices '{text}' is no list of slices, which count from 1; write it as 3,7-9.")
        found += range(int(match[1]) - 1, int(match[2] or match[1]))
    return tuple(dict.fromkeys(found))


def _bar() -> Callable[[int, int], None]:
    """A bar on standard error where a person watches it."""
    if not on_terminal():
        return lambda done, total: None
    from tqdm import tqdm

    shown: list[Any] = []  # not before there is something to count: most methods have nothing, and a bar would stay

    def show(done: int, total: int) -> None:
        if not shown:
            shown.append(tqdm(desc="explain", total=total, leave=False))
        shown[0].update(done - shown[0].n)
        if done >= total:
            shown[0].close()

    return show


def _said(decision: Decision) -> str:
    if decision.action == "reject":
        return f"rejected, {'; '.join(decision.reasons)}. What follows is of a score that nobody should use"
    return f"{decision.label} ({decision.confidence:.2f}), {decision.action}"


def _lines(shown: list[Shown], heatmaps: dict[str, Heatmap] | Any) -> list[str]:
    lines = [] if any(s.heat is not None for s in shown) else ["  no heat: no part of the scan raises this score"]
    for s in shown:
        scan = f"{s.scan}, " if len(heatmaps) > 1 else ""
        parts = [_share(s.heat), f"weight {s.weight:.2f}"]
        if s.peak is not None:
            parts.append(f"peak {s.peak[0]:.0%} from the left and {s.peak[1]:.0%} from the top of the picture")
        lines.append(f"  {scan}slice {s.slice + 1} of {s.of}: {', '.join(parts)}")
    return lines


def _share(heat: float | None) -> str:
    """A share of the heat in words, in which little is not nothing."""
    if not heat:
        return "no heat"
    return "under 1% of the heat" if heat < 0.005 else f"{heat:.0%} of the heat"


def _bars(explained: Explained, views: Views, tops: dict[str, float]) -> list[str]:
    """What the bars beside the pictures stand for, of each scan that has heat."""
    from insula.infer import heatmap
    from insula.infer.explained_files import legend

    lines = []
    for scan, bag in heatmap.by_scan(views).items():
        if (top := tops.get(scan, 0.0)) > 0:
            name = f" of {scan}" if len(tops) > 1 else ""
            said = legend(explained.heatmaps[scan], explained.brightest, bag.shape[-2:])
            lines.append(f"Bar{name}: 0 to {top:.3g}, {explained.unit}. {said}")
    return lines


def _as_dict(shown: Shown) -> dict[str, Any]:
    """One slice as data: `slice` counts from 0."""
    return {
        "scan": shown.scan,
        "slice": shown.slice,
        "of": shown.of,
        "share": None if shown.heat is None else round(shown.heat, 4),
        "weight": round(shown.weight, 4),
        "peak": None if shown.peak is None else [round(p, 3) for p in shown.peak],
    }
