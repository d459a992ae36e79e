"""`insula index`, `insula check`, `insula split`: from a folder of scans to a cohort that can be trusted."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option, progress, recipe_options

if TYPE_CHECKING:
    from insula.core.recipe import Recipe
    from insula.core.types import Cohort

_TABLE = click.Path(path_type=Path)
_NAMED = 5
FAILED = 31  # exit code of a check whose verdict is "fail"
_MEANING = {
    "fail": "mend what makes results wrong before training",
    "cannot tell": "nothing here is certainly wrong, a person has to look",
}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@recipe_options
@click.option("--out", type=_TABLE, default="cohort.parquet", show_default=True, help="Table, .parquet or .csv.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "rsna", "bids", "table", "folders", "dicom"]),
    default="auto",
    show_default=True,
    help="How the folder is laid out.",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Table of labels; labels.csv in FOLDER if not given.")
@click.option("--label-column", metavar="NAME", help="The table's column of class names; 'label' if not given.")
@click.option("--suffix", metavar="NAME", help="Of NIfTI files, take those whose name ends so: T1w, flair, ...")
@click.option("--role", metavar="NAME", help="Which input of a recipe with several; join the tables with insula join.")
@click.option("--patient-pattern", metavar="REGEX", help="Finds the patient id in a path: its first group.")
@json_option
def index(
    folder: Path,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    layout: str,
    labels: Path | None,
    label_column: str | None,
    suffix: str | None,
    role: str | None,
    patient_pattern: str | None,
    as_json: bool,
) -> None:
    """Make a cohort's table out of FOLDER; only headers are read.

    Layouts: CLASS/patient/files and CLASS/file (folders), files beside labels.csv (table), the RSNA 2019 table (rsna),
    DICOM headers (dicom), BIDS (bids). The first that fits is taken, and the output says why.
    """
    from insula.cohort.gaps import asked, empty_folders
    from insula.cohort.index import Hints, survey_cohort, without_name
    from insula.cohort.table import save, save_notes, usable
    from insula.core.errors import UsageError
    from insula.core.recipe import load
    from insula.prep.check import checked

    usable(out)
    question = checked(load(recipe, overrides))
    if role is None and len(question.inputs) > 1:
        raise UsageError(
            f"Recipe '{question.name}' has the inputs {', '.join(question.inputs)}: index each by itself with --role, "
            "then insula join."
        )
    question = question.only(role or question.role)
    made = survey_cohort(folder, question, Hints(patient_pattern, layout, labels, label_column, suffix))
    save(made.cohort, out)
    save_notes(out, made.layout, made.why, made.aside, asked(question))
    empty = empty_folders(Path(made.cohort.root))
    reasons = Counter(without_name(item) for item in made.aside)
    data = _counts(made.cohort, question.target_name) | {
        "out": str(out),
        "layout": made.layout,
        "why": made.why,
        "set_aside": [{"path": item.path, "reason": item.reason} for item in made.aside],
        "rows_without_scan": made.rows_without_scan,
        "of_classes": _of_classes(made.cohort, question),
        "empty_folders": list(empty),
    }
    lines = [f"Layout {made.layout}: {made.why}", _text(made.cohort, question.target_name)]
    if made.aside:
        lines.append(f"{plural(len(made.aside), 'file')} set aside:")
        lines += [f"  {count:6d}  {reason}" for reason, count in reasons.most_common(8)]
    if without := [c for c, n in data["of_classes"].items() if n == 0]:
        lines.append(f"No case is labelled {', '.join(without)}: nothing can be learnt of it.")
    if empty:
        named = ", ".join(empty[:_NAMED]) + (", ..." if len(empty) > _NAMED else "")
        lines.append(f"{plural(len(empty), 'folder')} without a file: {named}")
    if made.rows_without_scan:
        lines.append(f"{plural(made.rows_without_scan, 'row')} of the table without a scan of {question.role}.")
    lines.append(f"Wrote {out}")
    emit(as_json, data, "\n".join(lines))


@click.command()
@click.argument("cohort", type=_TABLE)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for check.html, check.json and scans.csv."
)
@click.option("--leaks/--no-leaks", "with_leaks", default=True, help="Look for leaks between splits too (leaks.json).")
@click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="Whose classes all need a case; those that the table was indexed for if not given.",
)
@json_option
def check(cohort: Path, out: Path | None, with_leaks: bool, recipe: str | None, as_json: bool) -> None:
    """Read every scan of COHORT; look for damage, clashing labels, shortcuts, text, poor quality, and leaks.

    The exit code is 31 when a verdict is "fail": something makes results wrong and has to be mended. "cannot tell"
    means that a person has to look; the exit code is then 0, as for "pass".
    """
    from insula.cohort import check_page, leak_words
    from insula.cohort.check import check as look
    from insula.cohort.gaps import asked
    from insula.cohort.leaks import find
    from insula.cohort.table import load, load_notes
    from insula.core.provenance import write_json
    from insula.core.recipe import load as load_recipe

    table, notes = load(cohort), load_notes(cohort)
    if recipe is not None:
        notes = replace(notes, asked=asked(load_recipe(recipe)))
    checked = look(table, progress, notes)
    leaks = find(table, progress) if with_leaks else None
    verdict = check_page.overall(checked, leaks)
    if out is not None:
        if leaks is not None:
            write_json(out / "leaks.json", leaks.to_dict())
        check_page.write(checked, table, out, leaks, progress, Path(table.root).name)
    lines = [_text(table, None), f"Files and labels: {checked.verdict}"]
    lines += [f"  {problem}" for problem in checked.problems]
    lines += [f"  {item.path}: {item.reason}" for item in checked.unreadable[:5]]
    lines += [f"  {key}: {what}" for key, what in checked.doubtful[:5]]
    if leaks is not None:
        lines.append(f"Leaks: {leaks.verdict}")
        lines += [f"  {kind.text}" for kind in leak_words.kinds(leaks)]
        lines += [f"  cannot be told: {reason}" for reason in leak_words.unknown(leaks)]
    if verdict != "pass":
        lines.append(f"Verdict: {verdict}; {_MEANING[verdict]}.")
    if out is not None:
        lines.append(f"Wrote {out / 'check.html'}, check.json, scans.csv" + (" and leaks.json" if leaks else ""))
    data = {"verdict": verdict, "check": checked.to_dict()}
    emit(as_json, data | ({"leaks": leaks.to_dict()} if leaks is not None else {}), "\n".join(lines))
    if verdict == "fail":
        sys.exit(FAILED)


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
@click.option("--hold-out", metavar="ATTRIBUTE=VALUE", help="Test on every patient of one group, e.g. site=NAME.")
@click.option("--keep-test", is_flag=True, help="Keep the test split that COHORT came with; make val out of train.")
@click.option("--from-files", type=click.Path(path_type=Path), help="Folder of train.txt, val.txt, test.txt to follow.")
@click.option(
    "--keep-duplicates-together",
    "together",
    is_flag=True,
    help="Look for duplicates first and keep each group of them in one split.",
)
@click.option("--write-files", "lists", type=click.Path(path_type=Path), help="Folder to write these files to.")
@json_option
def split(
    cohort: Path,
    recipe: str,
    overrides: tuple[str, ...],
    out: Path,
    level: str,
    fractions: tuple[float, float, float],
    hold_out: str | None,
    keep_test: bool,
    from_files: Path | None,
    together: bool,
    lists: Path | None,
    as_json: bool,
) -> None:
    """Split COHORT into train, val and test by patient, each class in proportion; the recipe's seed decides."""
    from insula.cohort import hold_out as holding
    from insula.cohort import split as splitting
    from insula.cohort.table import copy_notes, load, save, usable
    from insula.core.errors import UsageError
    from insula.core.recipe import load as load_recipe
    from insula.prep.check import checked

    usable(out)
    question = checked(load_recipe(recipe, overrides))
    table = load(cohort)
    by: splitting.Level = "picture" if level == "picture" else "patient"
    if hold_out is not None and (from_files is not None or by == "picture"):
        raise UsageError("--hold-out keeps patients whole and follows no files; leave --from-files and --level away.")
    if keep_test and (hold_out is not None or from_files is not None):
        raise UsageError("--keep-test follows the test split of the table; leave --hold-out and --from-files away.")
    if together and (hold_out is not None or from_files is not None):
        raise UsageError("--keep-duplicates-together makes a split of its own; leave --hold-out and --from-files away.")
    groups = duplicates(table) if together else ()
    if hold_out is not None:
        made = holding.hold_out(table, question, *holding.parse(hold_out))
    elif keep_test:
        made = holding.keep_test(table, question, by, groups)
    elif from_files is not None:
        made = splitting.read_files(table, from_files, by)
    else:
        made = splitting.split(table, question, fractions, by, groups)
    save(made, out)
    copy_notes(cohort, out)
    if lists is not None:
        splitting.write_files(made, lists)
    text = _text(made, question.target_name)
    if by == "picture":
        text += "\nSplit by picture: a patient may stand in several splits, so results will be too good."
    data = _counts(made, question.target_name) | {"out": str(out)}
    if together:
        data["duplicate_groups"] = len(groups)
        text += f"\n{plural(len(groups), 'group')} of duplicates, each kept in one split."
    emit(as_json, data, f"{text}\nWrote {out}")


def plural(count: int, noun: str) -> str:
    """A number and its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def duplicates(table: Cohort) -> tuple[tuple[str, ...], ...]:
    """Case keys of each group of identical or near-duplicate pictures; every slice of every scan is looked at."""
    from insula.cohort.leaks import find

    return tuple(group.cases for group in find(table, progress, "all").groups)


def _of_classes(cohort: Cohort, recipe: Recipe) -> dict[str, int]:
    """Cases of each of the recipe's classes, those without any too."""
    found = Counter(name for case in cohort.cases for name in case.labels.get(recipe.target_name, ()))
    return {name: found[name] for name in recipe.target.classes}


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
    who = plural(counts["patients"], "patient") if known else "patients not known"
    lines = [f"{plural(counts['cases'], 'case')}, {who}"]
    for name, places in counts["classes"].items():
        parts = [
            ("" if place == "all" else f"{place} ")
            + f"{c['cases']}"
            + (f" ({plural(c['patients'], 'patient')})" if known else "")
            for place, c in places.items()
        ]
        lines.append(f"  {name:<20} " + "; ".join(parts))
    return "\n".join(lines)
