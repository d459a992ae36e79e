"""`insula phantom`: made patients with known truth."""

from __future__ import annotations

from pathlib import Path

import click

from insula.cli.number import Finite
from insula.cli.output import emit, json_option, progress

_PLANTS = """\b
--plant may be given several times:
  text:CLASS[=SHARE][:WORD]   a word (L where none is given) burned into pictures
  border:CLASS[=SHARE]        another headrest (CT), a round field of view (MR, clots)
  device:[CLASS=]SHARE        a coil, a clip or a shunt with streaks
  calcified:[CLASS=]SHARE     CT: falx and plexus calcified in this share alone
  outline:CLASS[=SHARE]       the lesion's outline burned in
  colour:CLASS[=SHARE]        pictures of one class in RGB, the others in grey
  scanner:STRENGTH            0 (by chance) to 1 (one scanner per class)
  slope:FIELD=VALUE[:FACTOR]  CT: a wrong rescale slope (0.9) in one group
  subgroup:FIELD=VALUE[:FACTOR]
                              fainter lesions (half) in one sex, scanner, site, or
                              range of ages: sex=F, age=70-95, scanner=BR-64:0.3
  label-noise:SHARE           a wrong label for this share of the patients
  duplicates:COUNT            copies under other ids: exact, recompressed, flipped,
                              cropped in turn; splits/ puts them across splits
  missing:SHARE               no sex, age, scanner, site in header and table
  unreadable:COUNT            files cut short, empty, or random bytes in turn
  wrong-modality:COUNT        a file of another modality beside the scans"""


@click.command(epilog=_PLANTS)
@click.argument("kind", type=click.Choice(["haemorrhage-ct", "stroke-ct", "brain-tumour", "clot-origin"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--patients", type=click.IntRange(2, 100_000), default=60, show_default=True, help="Number of patients to make."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed makes the same patients.")
@click.option("--size", type=int, default=192, show_default=True, help="Pixels a side, 64 to 512.")
@click.option("--slices", type=int, default=24, show_default=True, help="Slices a scan, 8 to 64.")
@click.option(
    "--contrast",
    "contrasts",
    multiple=True,
    type=click.Choice(["t1", "t1c", "t2", "flair"]),
    help="brain-tumour: an MR contrast, several times for several; t1c alone if not given.",
)
@click.option(
    "--modality",
    type=click.Choice(["mr", "ct", "both"]),
    default="mr",
    show_default=True,
    help="brain-tumour: what the patients are scanned with; with both, the class needs both.",
)
@click.option(
    "--missing-modality",
    "lacking",
    type=Finite(0, 1),
    default=0.0,
    help="Share of the patients of --modality both who lack the CT or the MR.",
)
@click.option(
    "--as",
    "form",
    type=click.Choice(["scans", "pictures"]),
    default="scans",
    show_default=True,
    help="DICOM and NIfTI, or 8-bit slices as CLASS/patient/slice.",
)
@click.option(
    "--picture-format",
    type=click.Choice(["jpeg", "png"]),
    default="jpeg",
    show_default=True,
    help="With --as pictures.",
)
@click.option("--slides", "whole", is_flag=True, help="clot-origin: whole slides (pyramidal TIFF) instead of pictures.")
@click.option(
    "--answers",
    is_flag=True,
    help="Kind and age of a stroke, or stage and survival of a tumour, in labels.csv too and not in truth.csv alone.",
)
@click.option("--plant", "plants", multiple=True, metavar="NAME:VALUE", help="Plant a fault; the list stands below.")
@json_option
def phantom(
    kind: str,
    folder: Path,
    patients: int,
    seed: int,
    size: int,
    slices: int,
    contrasts: tuple[str, ...],
    modality: str,
    lacking: float,
    form: str,
    picture_format: str,
    whole: bool,
    answers: bool,
    plants: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make a cohort of KIND in FOLDER: real DICOM, NIfTI or picture files with lesion masks and labels.

    labels.csv is what the index reads; truth.csv tells what is true of each scan, and which faults were planted.
    """
    from insula.cohort.phantom.make import make
    from insula.cohort.phantom.order import Options
    from insula.cohort.phantom.plants import parse

    faults = parse(plants)
    shape = picture_format if form == "pictures" else "scans"
    choice = Options(contrasts, modality, lacking, shape, whole, answers)
    bar = lambda n: progress(n, "phantom", patients)  # noqa: E731
    made = make(kind, folder, patients, seed, size, slices, bar, options=choice, plants=faults)
    data = {"folder": str(made), "kind": kind, "patients": patients, "seed": seed}
    data |= {"options": choice.chosen(), "plants": faults.chosen()}
    text = f"{patients} patients of {kind} in {made}; index them: insula index {made} --recipe {kind}"
    if faults.chosen():
        text += f"\nPlanted: {', '.join(plants)}; who has what stands in {made / 'truth.csv'}"
    emit(as_json, data, text)
