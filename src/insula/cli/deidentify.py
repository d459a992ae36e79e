"""`insula deidentify`: a copy of a folder of scans without what identifies the patients."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from insula.cli.output import emit, json_option, progress

QUARANTINED = 30
_OPTIONS = (
    "retain-device",
    "retain-institution",
    "retain-patient",
    "retain-safe-private",
    "retain-uids",
    "clean-descriptors",
    "clean-graphics",
    "clean-structured-content",
)
_DATES = {"shift": "shifted-dates", "remove": "", "keep": "full-dates"}
_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=_PATH, required=True, help="New folder for the cleaned copies and the report.")
@click.option(
    "--profile",
    type=click.Choice(["basic"]),
    default="basic",
    show_default=True,
    help="The profile of DICOM PS3.15, Annex E.",
)
@click.option("--option", "options", multiple=True, type=click.Choice(_OPTIONS), help="An option of the profile.")
@click.option(
    "--dates",
    type=click.Choice(list(_DATES)),
    default="shift",
    show_default=True,
    help="Move each patient's dates by the same number of days, remove them, or keep them.",
)
@click.option(
    "--burned-in",
    type=click.Choice(["blank", "quarantine", "keep"]),
    default="blank",
    show_default=True,
    help="Writing in pictures: blank it (needs Tesseract), keep the file back, or do not look.",
)
@click.option("--key-file", type=_PATH, help="File with the key, mode 0600; else INSULA_DEID_KEY, else a new key.")
@click.option("--labels", "table", type=_PATH, help="A CSV of labels, rewritten with pseudonyms as labels.csv.")
@click.option("--keep-column", "columns", multiple=True, metavar="NAME", help="A column of the labels that stays.")
@click.option(
    "--keep-name", "names", multiple=True, metavar="NAME", help="A folder name that stays, such as that of a class."
)
@click.option("--mapping", type=_PATH, help="Write old and new names to this new file (mode 0600), outside --out.")
@json_option
def deidentify(
    folder: Path,
    out: Path,
    profile: str,
    options: tuple[str, ...],
    dates: str,
    burned_in: Literal["blank", "quarantine", "keep"],
    key_file: Path | None,
    table: Path | None,
    columns: tuple[str, ...],
    names: tuple[str, ...],
    mapping: Path | None,
    as_json: bool,
) -> None:
    """Copy the scans of FOLDER without what identifies their patients, and report what was done to each file.

    DICOM is cleaned by the table of PS3.15, Annex E; NIfTI, PNG, JPEG, TIFF, NumPy and JSON files lose all text.
    Files and folders get pseudonyms. A file that cannot be cleaned is not copied; the exit code is then 30. The same
    command goes on with a run that was stopped, where the key is the same.
    """
    from insula.cohort.deidentify import keys
    from insula.cohort.deidentify.run import Job, run

    chosen = frozenset(options) | ({_DATES[dates]} - {""})
    key = keys.find(key_file)
    job = Job(folder, out, chosen, burned_in, names, table, columns, mapping)
    report = run(job, key, progress)
    counts = report.counts
    written = f"{counts['written']} file{'' if counts['written'] == 1 else 's'} written"
    lines = [
        f"{written}, {counts['quarantined']} quarantined, {counts['left out']} left out (no scans); writing was "
        f"blanked in {counts['blanked']}."
    ]
    reasons: dict[str, int] = {}
    for row in report.quarantined:
        reasons[f"{row.kind}: {row.reason}"] = reasons.get(f"{row.kind}: {row.reason}", 0) + 1
    lines += [f"  {count:6d}  {reason}" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])]
    if report.on_head:
        lines.append(f"WARNING: {report.on_head}")
    if report.stays:
        lines += ["KEPT in the copies:", *(f"  {sentence}" for sentence in report.stays)]
    if not report.lasting:
        lines.append(
            f"The key was made for this run and is gone: later runs give other pseudonyms. Set {keys.VARIABLE} or "
            "--key-file to link them."
        )
    lines += ["Not looked at:", *(f"  {sentence}" for sentence in report.not_checked)]
    lines.append(f"Wrote {out / 'report.html'}, report.csv and report.json")
    content = report.to_dict() | {"profile_name": profile, "out": str(out)}
    emit(as_json, content, "\n".join(lines))
    if report.quarantined:
        sys.exit(QUARANTINED)
