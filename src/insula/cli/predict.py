"""`insula predict` and `insula explain`: a bundle on scans."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option, progress
from insula.core.errors import UsageError

if TYPE_CHECKING:
    from insula.core.recipe import Recipe
    from insula.core.types import FloatArray
    from insula.infer.predict import Predictor
    from insula.scans.sandbox import Sandbox

_SCAN = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_SCAN)
@click.argument("scans", nargs=-1, type=_SCAN)
@click.option("--scan", "by_role", multiple=True, metavar="ROLE=PATH", help="A scan of one case; once for each scan.")
@click.option("--with", "known", multiple=True, metavar="NAME=VALUE", help="A clinical column of that case, as age=63.")
@click.option("--uncertainty", is_flag=True, help="Add the spread over dropout passes (the recipe's number).")
@click.option("--passes", type=click.IntRange(0, 10_000), default=0, help="Add the spread over this many passes.")
@click.option("--heatmaps", type=_SCAN, help="Write overlays of the slices with most evidence into this folder.")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of one prediction.")
@click.option("--series", metavar="UID|NUMBER", help="The series to take where a SCAN holds several, or `list`.")
@json_option
def predict(
    bundle: Path,
    scans: tuple[Path, ...],
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    uncertainty: bool,
    passes: int,
    heatmaps: Path | None,
    threads: int | None,
    series: str | None,
    as_json: bool,
) -> None:
    """Predict each SCAN (a file, or a folder with one series) with BUNDLE; one that fails does not stop the others.

    For a model of several inputs, --scan gives the scans of one case by their roles (a role given twice is a second
    series or slide of the patient), and --with its clinical columns; what is left out is missing.
    """
    from insula.bundle.load import load
    from insula.core.errors import InsulaError
    from insula.infer.decide import decide, reject
    from insula.infer.heatmap import write_case
    from insula.infer.predict import Predictor
    from insula.infer.writers import as_dict, to_text
    from insula.scans.sandbox import shared

    if bool(scans) == bool(by_role) or (known and not by_role):
        raise UsageError("Give either SCANs, each a case of its own, or the scans of one case by --scan ROLE=PATH.")
    if series == "list":
        _list_series(scans, as_json)
        return
    pool = shared().start()  # wakes up while the bundle is loaded
    predictor = Predictor(load(bundle), threads)
    recipe = predictor.bundle.recipe
    passes = passes or (recipe.policy.passes if uncertainty else 0)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    lines: list[str] = []
    first_code = 0
    asked = [[(recipe.role, path)] for path in scans] or [_pairs(by_role, recipe, "--scan")]
    attributes = dict(_split(text, "--with") for text in known)
    for number, one in enumerate(progress(asked, "predict", len(asked)), start=1):
        path = one[0][1]
        try:
            prepared, cautions, headers = _read(one, predictor, pool, series)
            prediction = predictor.from_slices(prepared, path.name, passes, cautions, {**headers, **attributes})
        except InsulaError as error:
            rejected = reject(error)
            errors.append({"scan": str(path), "code": error.code, "message": str(error), "decision": rejected.action})
            first_code = first_code or error.exit_code
            click.echo(f"{path}: {error}", err=True)
            continue
        decision = decide(prediction, predictor.bundle)
        result = {"scan": str(path), **as_dict(prediction, decision)}
        if heatmaps is not None:
            folder = heatmaps / (path.name if len(asked) == 1 else f"{number:04d}-{path.name}")
            written = write_case(prediction, prepared, folder, recipe)
            result["heatmaps"] = [str(p) for p in written]
        results.append(result)
        lines.append(to_text(prediction, decision))
    if not as_json and len(results) > 3:
        lines = _table(results)
    footer = f"{len(results)} predicted, {len(errors)} refused. Research use only."
    emit(as_json, {"bundle": predictor.bundle.id, "results": results, "errors": errors}, "\n".join([*lines, footer]))
    if first_code:
        sys.exit(first_code)


def _pairs(texts: tuple[str, ...], recipe: Recipe, option: str) -> list[tuple[str, Path]]:
    """Role and path of each --scan; UsageError for a role that the recipe does not have."""
    found = [_split(text, option) for text in texts]
    for role, _ in found:
        if role not in recipe.inputs:
            raise UsageError(f"{option} names the role '{role}', and the model takes {', '.join(recipe.inputs)}.")
    return [(role, Path(path)) for role, path in found]


def _split(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise UsageError(f"{option} '{text}' is not of the form NAME=VALUE.")
    return name, value


def _read(
    one: list[tuple[str, Path]], predictor: Predictor, pool: Sandbox, series: str | None
) -> tuple[dict[str, tuple[FloatArray, ...]], tuple[str, ...], dict[str, str]]:
    """The scans of one case as the network takes them, what has to be said of them, and their header facts."""
    views: dict[str, tuple[FloatArray, ...]] = {}
    cautions: list[str] = []
    headers: dict[str, str] = {}
    for role, path in one:
        volume = pool.read(path, tiles=predictor.bundle.recipe.inputs[role].tiles, series=series)
        slices, said = predictor.prepare(volume, role)
        views[role] = (*views.get(role, ()), slices)
        cautions += said
        headers |= {k: v for k, v in volume.attributes.items() if k not in headers}
    return views, tuple(dict.fromkeys(cautions)), headers


def _list_series(scans: tuple[Path, ...], as_json: bool) -> None:
    """Print what `--series` can choose in each folder, DICOMDIR or zip file."""
    from insula.scans import catalogue

    data: list[dict[str, Any]] = []
    lines: list[str] = []
    for path in scans:
        found = catalogue.of(path)
        lines += [str(path), *(f"  {e.said()}  {e.description}  {e.uid}" for e in found)]
        data += [
            {"scan": str(path), "number": e.number, "uid": e.uid, "modality": e.modality, "slices": e.slices}
            | {"description": e.description, "geometry": e.geometry, "aside": e.aside, "files": len(e.files)}
            for e in found
        ]
    emit(as_json, {"series": data}, "\n".join(lines))


@click.command()
@click.argument("bundle", type=_SCAN)
@click.argument("scan", type=_SCAN)
@click.option("--out", required=True, type=_SCAN, help="Folder for the pictures and the heat map.")
@click.option("--class", "class_name", help="The class to explain; the decided one when left out.")
@click.option("--top", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many slices to draw.")
@json_option
def explain(bundle: Path, scan: Path, out: Path, class_name: str | None, top: int, as_json: bool) -> None:
    """Show where in SCAN the evidence for a class lies: overlays (PNG), a heat map (NIfTI), the slices by heat."""
    from insula.bundle.load import load
    from insula.infer import heatmap
    from insula.infer.decide import decide
    from insula.infer.predict import Predictor
    from insula.infer.writers import as_dict
    from insula.scans.sandbox import shared
    from insula.scans.write import write_nifti

    pool = shared().start()
    predictor = Predictor(load(bundle))
    recipe = predictor.bundle.recipe
    classes = recipe.target.classes
    if class_name is not None and class_name not in classes:
        raise UsageError(f"There is no class '{class_name}' in this bundle; it has: {', '.join(classes)}.")
    volume = pool.read(scan, tiles=recipe.input.tiles)
    prepared, cautions = predictor.prepare(volume)
    prediction = predictor.from_slices(prepared, scan.name, 0, cautions)
    decision = decide(prediction, predictor.bundle)
    chosen = class_name or (decision.label if decision.label in classes else recipe.target.positive)
    k = classes.index(chosen)
    heat = prediction.heatmaps[recipe.role]
    files = heatmap.write_case(prediction, prepared, out, recipe, (chosen,), top)
    nifti = out / f"heat-{chosen}.nii.gz"
    write_nifti(heatmap.heat_volume(heat, k, volume, recipe.input), nifti)
    total = float(heat.array[k].sum())
    slices: list[dict[str, Any]] = []
    for position in heatmap.top_slices(heat, k, top):
        across, down = heatmap.peak(heat, k, position)
        share = float(heat.array[k, position].sum()) / total
        slices.append(
            {"slice": heat.slices[position], "share": round(share, 4), "peak": [round(across, 3), round(down, 3)]}
        )
    lines = [f"{scan.name}: {decision.label} ({decision.confidence:.2f}), {decision.action}; evidence for '{chosen}':"]
    lines += [
        f"  slice {s['slice']} of {len(prepared)}: {s['share']:.0%} of the heat, peak {s['peak'][0]:.0%} from the left "
        f"and {s['peak'][1]:.0%} from the top of the picture"
        for s in slices
    ]
    if not slices:
        lines.append("  none: no part of the scan speaks for this class")
    lines.append(f"Written: {len(files)} pictures and {nifti.name} in {out}. Slices count from 0.")
    data = {
        **as_dict(prediction, decision),
        "class": chosen,
        "slices": slices,
        "files": [*map(str, files), str(nifti)],
    }
    emit(as_json, data, "\n".join(lines))


def _table(results: list[dict[str, Any]]) -> list[str]:
    rows = [("case", "answer", "confidence", "decision", "why")]
    rows += [(r["case"], r["label"], f"{r['confidence']:.2f}", r["decision"], "; ".join(r["reasons"])) for r in results]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows]
