"""`insula predict`: a bundle on scans."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from insula.cli.output import emit, json_option, point, progress
from insula.core.errors import InsulaError, ScanError, UsageError

_SCAN = click.Path(path_type=Path)
_UNCERTAINTY = ("policy", "dropout", "views", "members", "all")


class _Predict(click.Command):
    """`--uncertainty` alone means the policy's source, wherever it stands: what follows it may be a scan."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        found: list[str] = []
        words = list(args)
        while words:
            word = words.pop(0)
            if word == "--":
                found += [word, *words]
                break
            name, given, value = word.partition("=")
            if name != "--uncertainty":
                found.append(word)
                continue
            after = "" if given or not words else words[0]
            if given and value not in _UNCERTAINTY:
                raise _unknown(value)
            if after in _UNCERTAINTY:
                value = words.pop(0)
            elif after and not after.startswith("-") and not _path(after):
                raise _unknown(after, "no file or folder here either")
            found.append(f"--uncertainty={value or _UNCERTAINTY[0]}")
        return super().parse_args(ctx, found)


def _path(word: str) -> bool:
    """Whether a word names a scan, there or not, and not a source that is misspelt."""
    path = Path(word)
    return path.exists() or bool(path.suffix) or len(path.parts) > 1


def _unknown(value: str, also: str = "") -> UsageError:
    listed = f"{', '.join(_UNCERTAINTY[:-1])} or {_UNCERTAINTY[-1]}"
    return UsageError(
        f"'{value}' is no source of uncertainty{f', and {also}' if also else ''}; write --uncertainty {listed}, or "
        "--uncertainty alone for the policy's source."
    )


@click.command(cls=_Predict)
@click.argument("bundle", type=_SCAN)
@click.argument("given", metavar="[SCANS]...", nargs=-1)
@click.option("--scan", "by_role", multiple=True, metavar="ROLE=PATH", help="A scan of one case; once for each scan.")
@click.option("--with", "known", multiple=True, metavar="NAME=VALUE", help="A clinical column of that case, as age=63.")
@click.option(
    "--uncertainty",
    is_flag=False,
    flag_value=_UNCERTAINTY[0],
    type=click.Choice(_UNCERTAINTY),
    help="Add spread, 95% interval, entropy and mutual information over dropout passes, views of the scan or members "
    "of an ensemble; alone, of the source that the policy refers by, which is drawn anyway where the policy limits it.",
)
@click.option("--passes", type=click.IntRange(2, 10_000), help="Dropout passes, in place of the recipe's number.")
@click.option("--heatmaps", type=_SCAN, help="Write overlays of the slices with most evidence into this folder.")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of the network, in all.")
@click.option("--series", metavar="UID|NUMBER", help="The series to take where a SCAN holds several, or `list`.")
@click.option(
    "--out",
    type=_SCAN,
    metavar="TABLE",
    help="Predict every case below the one folder, or of the one cohort, that is given as SCAN into this table "
    "(.parquet or .csv), whatever becomes of each; stopped, the same command goes on.",
)
@click.option("--readers", type=click.IntRange(1, 256), help="Cases that --out reads at once; one for each CPU.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Do that on a Ray cluster: `auto` for the one that this machine belongs to, its address, or `local`.",
)
@json_option
def predict(
    bundle: Path,
    given: tuple[str, ...],
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    uncertainty: str | None,
    passes: int | None,
    heatmaps: Path | None,
    threads: int | None,
    series: str | None,
    out: Path | None,
    readers: int | None,
    cluster: str | None,
    as_json: bool,
) -> None:
    """Predict each SCAN (a file, or a folder with one series) with BUNDLE; one that fails does not stop the others.

    For a model of several inputs, --scan gives the scans of one case by their roles (a role given twice is a second
    series or slide of the patient), and --with its clinical columns; what is left out is missing.
    """
    from insula.bundle.load import load
    from insula.cli.case import pairs, split
    from insula.core.errors import UnsuitableScanError
    from insula.infer.decide import decide, reject
    from insula.infer.heatmap import class_of, evidence, write_case
    from insula.infer.predict import Predictor
    from insula.infer.read_case import read_case
    from insula.infer.uncertainty import SOURCES
    from insula.infer.writers import as_dict, to_text
    from insula.scans.sandbox import shared

    if out is not None and (len(given) != 1 or by_role or heatmaps or series):
        raise UsageError(
            "--out takes one folder or one cohort, without --scan, --heatmaps and --series; scans of several inputs "
            "are put together by insula index and insula join."
        )
    if (readers or cluster) and out is None:
        raise UsageError("--readers and --cluster belong to --out TABLE; give it as well.")
    scans = tuple(Path(text) for text in given)
    if bool(scans) == bool(by_role) or (known and not by_role):
        raise UsageError("Give either SCANs, each a case of its own, or the scans of one case by --scan ROLE=PATH.")
    if series == "list":
        _list_series(scans, as_json)
        return
    if out is not None:
        from insula.cli.predict_batch import Choices, run

        opened = load(bundle)
        asked_for = opened.recipe.policy.refer.by if uncertainty == "policy" else uncertainty
        found = tuple(source for source in SOURCES if asked_for in (source, "all"))
        run(opened, given[0], out, Choices(found, passes or 0, readers, threads, cluster), as_json)
        return
    pool = shared().start()  # wakes up while the bundle is loaded
    predictor = Predictor(load(bundle), threads)
    recipe = predictor.bundle.recipe
    wanted = recipe.policy.refer.by if uncertainty == "policy" else uncertainty
    needed = recipe.policy.refer.sources  # the decision is the one that was evaluated, whatever is asked for beside it
    ask = tuple(source for source in SOURCES if wanted in (source, "all") or source in needed)
    results: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    lines: list[str] = []
    first_code, more = 0, dict[str, None]()
    asked = [[(recipe.role, path)] for path in scans] or [pairs(by_role, recipe, "--scan")]
    attributes = dict(split(text, "--with") for text in known)
    for number, one in enumerate(progress(asked, "predict", len(asked)), start=1):
        path = one[0][1]
        try:
            prepared, cautions, headers, _ = read_case(one, predictor, pool, series)
            prediction = predictor.from_slices(
                prepared, path.name, passes or 0, cautions, {**headers, **attributes}, ask
            )
        except InsulaError as error:
            rejected = reject(error)
            said = f"{error}{_of_many(path, error, bundle) if scans else ''}"
            errors.append({"scan": str(path), "code": error.code, "message": said, "decision": rejected.action})
            first_code = first_code or error.exit_code
            more[error.see] = None
            click.echo(f"{path}: {said}", err=True)
            continue
        decision = decide(prediction, predictor.bundle)
        result, drawn = {"scan": str(path), **as_dict(prediction, decision)}, ""
        if decision.action == "reject":
            first_code = first_code or UnsuitableScanError.exit_code
        elif heatmaps is not None:
            folder = heatmaps / (path.name if len(asked) == 1 else f"{number:04d}-{path.name}")
            name = class_of(recipe.target, decision.label)
            written = write_case(prediction, prepared, folder, recipe, [name])
            result["heatmaps"] = [str(p) for p in written]
            result["heatmaps_of"] = name
            drawn = _drawn(written, folder, evidence(name, decision.label))
        results.append(result)
        lines.append("\n".join([to_text(prediction, decision), *([drawn] if drawn else [])]))
    if not as_json and len(results) > 3:
        lines = _table(results)
    refused = len(errors) + sum(result["decision"] == "reject" for result in results)
    footer = f"{len(asked) - refused} predicted, {refused} refused. Research use only."
    emit(as_json, {"bundle": predictor.bundle.id, "results": results, "errors": errors}, "\n".join([*lines, footer]))
    for place in more:
        point(place)
    if first_code:
        sys.exit(first_code)


def _of_many(path: Path, error: InsulaError, bundle: Path) -> str:
    """How a folder of many cases is predicted, where one was given as a scan that cannot be read as one."""
    if error.code != ScanError.code or not os.access(path, os.R_OK) or not path.is_dir():
        return ""
    many = any(said in str(error) for said in ("of several kinds", "each a scan of its own"))
    if not many and not any(one.is_dir() for one in path.iterdir()):
        return ""
    words = shlex.join(["insula", "predict", str(bundle), str(path), "--out", "table.parquet"])
    return f" If the folder holds many cases, predict each of them: {words}"


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


def _drawn(written: list[Path], folder: Path, what: str) -> str:
    """A line on the heat maps of one case."""
    if not written:
        return f"  no heat: no part of the scan is {what}"
    return f"  {'a picture' if len(written) == 1 else f'{len(written)} pictures'} of {what}, in {folder}"


def _table(results: list[dict[str, Any]]) -> list[str]:
    rows = [("case", "answer", "confidence", "decision", "why")]
    for r in results:
        sure = f"{r['confidence']:.2f}" if r["label"] else ""  # a rejected scan has neither
        rows.append((r["case"], r["label"], sure, r["decision"], "; ".join(r["reasons"])))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return ["  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[4]]).rstrip() for row in rows]
