"""`insula phantom`: made patients with known truth."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.output import emit, json_option, progress


@click.command()
@click.argument("kind", type=click.Choice(["haemorrhage-ct", "stroke-ct", "brain-tumour", "clot-origin"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--patients", type=click.IntRange(2, 100_000), default=60, show_default=True, help="Number of patients to make."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same patients.")
@click.option("--size", type=int, default=192, show_default=True, help="Pixels a side, 64 to 512.")
@click.option("--slices", type=int, default=24, show_default=True, help="Slices a scan, 8 to 64.")
@json_option
def phantom(kind: str, folder: Path, patients: int, seed: int, size: int, slices: int, as_json: bool) -> None:
    """Make a cohort of KIND in FOLDER: real DICOM, NIfTI or PNG files with lesion masks and labels.csv."""
    from insula.cohort.phantom.make import make

    made = make(kind, folder, patients, seed, size, slices, lambda n: progress(n, "phantom", patients))
    data = {"folder": str(made), "kind": kind, "patients": patients, "seed": seed}
    emit(as_json, data, f"{patients} patients of {kind} in {made}; index them: insula index {made} --recipe {kind}")
