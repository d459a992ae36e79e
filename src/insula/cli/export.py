"""`insula export`: the bundle of a finished run, or a bundle in a form for use elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option
from insula.core.errors import UsageError

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("source", type=_FILE, metavar="RUN|BUNDLE")
@click.argument("cohort", type=_FILE, required=False)
@click.option(
    "--format",
    "form",
    metavar="bundle|onnx|safetensors|monai",
    default="bundle",
    show_default=True,
    help="What to write: the bundle of RUN, or BUNDLE in another form.",
)
@click.option("--out", type=_FILE, help="The new folder; required with another --format.  [default: RUN/bundle]")
@click.option(
    "--cache", type=_FILE, default=Path("runs/cache"), show_default=True, help="Where prepared scans are kept."
)
@json_option
def export(source: Path, cohort: Path | None, form: str, out: Path | None, cache: Path, as_json: bool) -> None:
    """Write the bundle of a finished RUN, with thresholds and calibration from COHORT's val split.

    With --format write a BUNDLE for use elsewhere: onnx (graphs, all facts, a script for NumPy and ONNX Runtime),
    safetensors (weights for PyTorch) or monai (a MONAI bundle that runs Insula).
    """
    if form == "bundle":
        if cohort is None:
            raise UsageError(_no_cohort(source))
        _of_run(source, cohort, out or source / "bundle", cache, as_json)
        return
    from insula.export.forms import FORMS

    if form not in FORMS:
        raise UsageError(f"There is no form called '{form}'; known are: {', '.join(('bundle', *FORMS.names()))}.")
    if cohort is not None:
        raise UsageError(f"--format {form} writes a BUNDLE and reads no cohort; leave '{cohort}' out.")
    if out is None:
        raise UsageError(f"--out is missing: --format {form} writes a BUNDLE to a new folder; give --out FOLDER.")
    if form == "safetensors":
        from insula.cli.training import needs_torch

        needs_torch()
    from insula.bundle.load import load
    from insula.export.forms import write

    bundle = load(source)
    written = write(bundle, form, out)
    data = {"out": str(out), "format": form, "bundle_id": bundle.id, "files": list(written)}
    start = {"onnx": "predict.py --check", "safetensors": "load.py"}.get(form)
    text = f"Bundle {bundle.id} as {form} in {out}: {len(written)} files."
    emit(
        as_json, data, f"{text} Try it: python {out / start}" if start else f"{text} See {out / 'docs' / 'README.md'}."
    )


def _no_cohort(source: Path) -> str:
    """What is missing for the bundle of a run, or meant by a bundle that is given in its place."""
    from insula.bundle.layout import MANIFEST

    if (source / MANIFEST).is_file():
        return f"'{source}' is a bundle already; to write it in another form give --format onnx, safetensors or monai."
    return f"Give the COHORT that the run '{source}' was trained on, for its thresholds: insula export RUN COHORT."


def _of_run(run: Path, cohort: Path, target: Path, cache: Path, as_json: bool) -> None:
    from insula.cli.training import needs_torch

    needs_torch()
    from insula.cohort.table import load
    from insula.export.finish import finish
    from insula.train.run import load_run

    table = load(cohort)
    bundle, parity = finish(load_run(run, table, cache), table, target)
    data = {"bundle": str(target), "bundle_id": bundle.id, "parity": parity.logits, "cases": parity.cases}
    emit(as_json, data, f"Bundle {bundle.id} in {target}: equals the network within {parity.logits:.1e}.")
