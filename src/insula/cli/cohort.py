"""`insula index`, `insula check`, `insula split`: from a folder of scans to a cohort that can be trusted."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option, progress, recipe_options

if TYPE_CHECKING:
    from insula.core.types import Cohort

_TABLE = click.Path(path_type=Path)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@recipe_options
@click.option("--out", type=_TABLE, default="cohort.parquet", show_default=True, help="Table, .parquet or .csv.")
@click.option("--patient-pattern", metavar="REGEX", help="Finds the patient id in a path: its first group.")
@json_option
def index(
    folder: Path, recipe: str, overrides: tuple[str, ...], out: Path, patient_pattern: str | None, as_json: bool
) -> None:
    """Make a cohort's table out of FOLDER: CLASS/patient/files, CLASS/file, or files beside a labels.csv."""
    from insula.cohort.index import survey_cohort
    from insula.cohort.table import save
    from insula.core.recipe import load

    question = load(recipe, overrides)
    made = survey_cohort(folder, question, patient_pattern)
    save(made.cohort, out)
    reasons = Counter(item.reason for item in made.aside)
    data = _counts(made.cohort, question.target_name) | {
        "out": str(out),
        "set_aside": [{"path": item.path, "reason": item.reason} for item in made.aside],
        "rows_without_scan": made.rows_without_scan,
    }
    lines = [_text(made.cohort, question.target_name)]
    if made.aside:
        lines.append(f"{len(made.aside)} file(s) set aside:")
        lines += [f"  {count:6d}  {reason}" for reason, count in reasons.most_common(8)]
    if made.rows_without_scan:
        lines.append(f"{made.rows_without_scan} row(s) of labels.csv have no scan.")
    lines.append(f"Wrote {out}")
    emit(as_json, data, "\n".join(lines))


@click.command()
@click.argument("cohort", type=_TABLE)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for check.json and leaks.json.")
@json_option
def check(cohort: Path, out: Path | None, as_json: bool) -> None:
    """Read every scan of COHORT; look for damage, clashing labels, shortcuts, and leaks between splits."""
    from insula.cohort.check import check as look
    from insula.cohort.leaks import find
    from insula.cohort.table import load
    from insula.core.provenance import write_json

    table = load(cohort)
    checked = look(table, progress)
    leaks = find(table, progress)
    if out is not None:
        write_json(out / "check.json", checked.to_dict())
        write_json(out / "leaks.json", leaks.to_dict())
    lines = [_text(table, None), f"Files and labels: {checked.verdict}"]
    lines += [f"  {problem}" for problem in checked.problems]
    lines += [f"  {item.path}: {item.reason}" for item in checked.unreadable[:5]]
    lines.append(f"Leaks: {leaks.verdict}")
    for count, what in (
        (leaks.patients, "patients stand in two splits"),
        (leaks.studies, "studies stand in two splits under two patients"),
        (leaks.identical, "pairs of identical files across splits"),
        (leaks.near, "pairs of near-duplicate pictures across splits"),
        (leaks.inside, "pairs of identical or near-duplicate pictures of different patients, not across splits"),
        (leaks.clashes, "pairs of one picture with different labels"),
    ):
        if count:
            lines.append(f"  {count} {what}")
    if not leaks.split:
        lines.append("  the cohort is not split yet")
    if out is not None:
        lines.append(f"Wrote {out / 'check.json'} and {out / 'leaks.json'}")
    emit(as_json, {"check": checked.to_dict(), "leaks": leaks.to_dict()}, "\n".join(lines))


@click.command()
@click.argument("cohort", type=_TABLE)
@recipe_options
@click.option("--out", type=_TABLE, required=True, help="Table to write, .parquet or .csv.")
@click.option(
    "--level",
    type=click.Choice(["patient", "picture"]),
    default="patient",
    show_default=True,
    help="Keep a patient's cases together, or split picture by picture (labelled as optimistic).",
)
@click.option(
    "--fractions",
    nargs=3,
    type=float,
    default=(0.7, 0.15, 0.15),
    show_default=True,
    metavar="TRAIN VAL TEST",
    help="Shares of the patients in each split.",
)
@click.option("--from-files", type=click.Path(path_type=Path), help="Folder of train.txt, val.txt, test.txt to follow.")
@click.option("--write-files", "lists", type=click.Path(path_type=Path), help="Folder to write these files to.")
@json_option
def split(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    level: str,
    fractions: tuple[float, float, float],
    from_files: Path | None,
    lists: Path | None,
    as_json: bool,
) -> None:
    """Split COHORT into train, val and test by patient, each class in proportion; the recipe's seed decides."""
    from insula.cohort import split as splitting
    from insula.cohort.table import load, save
    from insula.core.recipe import load as load_recipe

    question = load_recipe(recipe, overrides)
    table = load(cohort)
    by: splitting.Level = "picture" if level == "picture" else "patient"
    if from_files is not None:
        made = splitting.read_files(table, from_files, by)
    else:
        made = splitting.split(table, question, fractions, by)
    save(made, out)
    if lists is not None:
        splitting.write_files(made, lists)
    text = _text(made, question.target_name)
    if by == "picture":
        text += "\nSplit by picture: a patient may stand in several splits, so results will be too good."
    emit(as_json, _counts(made, question.target_name) | {"out": str(out)}, f"{text}\nWrote {out}")


def _counts(cohort: Cohort, target: str | None) -> dict[str, Any]:
    """Cases and patients per class, and per class and split where there is a split."""
    cases: Counter[tuple[str, str]] = Counter()
    patients: dict[tuple[str, str], set[str]] = defaultdict(set)
    for case in cohort.cases:
        found = [n for t, names in case.labels.items() if target in (None, t) for n in names or ("none",)]
        for name in found or ["unlabelled"]:
            for place in {"all", case.split or "all"}:
                cases[name, place] += 1
                patients[name, place].add(case.patient)
    places = [p for p in ("all", "train", "val", "test") if any(key[1] == p for key in cases)]
    return {
        "cases": len(cohort.cases),
        "patients": len({case.patient for case in cohort.cases}) if cohort.patient_ids else None,
        "split_level": cohort.split_level,
        "classes": {
            name: {p: {"cases": cases[name, p], "patients": len(patients[name, p])} for p in places}
            for name in sorted({key[0] for key in cases})
        },
    }


def _text(cohort: Cohort, target: str | None) -> str:
    counts = _counts(cohort, target)
    known = counts["patients"] is not None
    who = f"{counts['patients']} patients" if known else "patients not known"
    lines = [f"{counts['cases']} cases, {who}"]
    for name, places in counts["classes"].items():
        parts = [
            ("" if place == "all" else f"{place} ")
            + f"{c['cases']}"
            + (f" ({c['patients']} patients)" if known else "")
            for place, c in places.items()
        ]
        lines.append(f"  {name:<20} " + "; ".join(parts))
    return "\n".join(lines)
