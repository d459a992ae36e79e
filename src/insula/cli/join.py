"""`insula join`: several cohorts as one, with every scan of a patient in one case."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option

if TYPE_CHECKING:
    from insula.cohort.clinical import Attached
    from insula.cohort.join import Joined
    from insula.core.types import Cohort

_PATH = click.Path(path_type=Path)
_ROLE = re.compile(r"[a-z][a-z0-9_]{0,31}")


@click.command()
@click.argument("cohorts", type=_PATH, nargs=-1, required=True, metavar="COHORT...")
@click.option("--out", type=_PATH, required=True, help="Table to write, .parquet or .csv.")
@click.option(
    "--role-of",
    "renames",
    multiple=True,
    metavar="COHORT=ROLE",
    help="Call the scans of one table by another role; COHORT is its path, file name, or name without suffix.",
)
@click.option(
    "--of-scan", "of_scans", multiple=True, metavar="NAME", help="An attribute that each scan has for itself."
)
@click.option("--table", type=_PATH, help="CSV of clinical columns, a row per patient; they become attributes.")
@click.option(
    "--id", "key", metavar="COLUMN", help="The table's column of patient ids; patient_id and the like if not given."
)
@click.option(
    "--keep-cases", is_flag=True, help="Only add the columns of --table: the cases of one COHORT stay as they are."
)
@json_option
def join(
    cohorts: tuple[Path, ...],
    out: Path,
    renames: tuple[str, ...],
    of_scans: tuple[str, ...],
    table: Path | None,
    key: str | None,
    keep_cases: bool,
    as_json: bool,
) -> None:
    """Join the tables COHORT... into one case per patient, with all scans of the patient by role.

    Two tables of one patient (CT and MR) give a case of both roles; several scans of one role (slides, series) are kept
    as role, role.2, role.3. Labels and splits have to agree.
    """
    from insula.cohort import clinical
    from insula.cohort import table as tables
    from insula.cohort.join import join as join_all
    from insula.core.errors import UsageError

    if keep_cases and (table is None or len(cohorts) > 1 or renames or of_scans):
        raise UsageError("--keep-cases goes with one COHORT and --table alone; leave the other options away.")
    if key is not None and table is None:
        raise UsageError("--id names a column of a table; give the table with --table.")
    tables.usable(out)
    read = _renamed(cohorts, [tables.load(path) for path in cohorts], renames)
    joined = None if keep_cases else join_all(read, of_scans)
    made = read[0] if joined is None else joined.cohort
    attached = None if table is None else clinical.attach(made, clinical.read(table, key))
    made = made if attached is None else attached.cohort
    tables.save(made, out)
    _notes(cohorts, read, made, out)
    data: dict[str, Any] = {"out": str(out), "cases": len(made.cases), "split_level": made.split_level}
    lines = [f"{len(made.cases)} cases, {len({c.patient for c in made.cases})} patients"]
    if joined is not None:
        data |= _facts(joined)
        lines += _said(joined)
    if attached is not None and table is not None:
        data["table"] = {
            "columns": list(attached.columns),
            "cases_without_row": attached.cases_without_row,
            "rows_without_case": attached.rows_without_case,
        }
        lines += _said_of_table(attached, table.name)
    emit(as_json, data, "\n".join([*lines, f"Wrote {out}"]))


def _renamed(paths: Sequence[Path], cohorts: Sequence[Cohort], renames: Sequence[str]) -> list[Cohort]:
    from insula.cohort.join import with_role
    from insula.core.errors import UsageError

    made = list(cohorts)
    for rename in renames:
        name, _, role = rename.rpartition("=")
        found = [i for i, path in enumerate(paths) if name in (str(path), path.name, path.stem)]
        if not _ROLE.fullmatch(role) or len(found) != 1:
            listed = ", ".join(path.name for path in paths)
            raise UsageError(
                f"--role-of '{rename}' is not COHORT=ROLE with one of the tables ({listed}) and a role of small "
                "letters, digits and underscores; write e.g. --role-of a=ct."
            )
        made[found[0]] = with_role(made[found[0]], role)
    return made


def _notes(paths: Sequence[Path], cohorts: Sequence[Cohort], made: Cohort, out: Path) -> None:
    """What the tables' own notes say, with paths below the new root."""
    from insula.cohort.found import Aside
    from insula.cohort.table import load_notes, save_notes

    aside: list[Aside] = []
    for path, cohort in zip(paths, cohorts, strict=True):
        below = Path(cohort.root).resolve().relative_to(Path(made.root).resolve())
        aside += [Aside((below / item.path).as_posix(), item.reason) for item in load_notes(path).aside]
    made_of = f"made of {', '.join(path.name for path in paths)}"
    save_notes(out, "joined", made_of, list(dict.fromkeys(aside)), load_notes(paths[0]).asked)


def _facts(joined: Joined) -> dict[str, Any]:
    return {
        "roles": dict(joined.roles),
        "complete": joined.complete,
        "several_scans": joined.several,
        "scans_met_twice": joined.twice,
        "unsplit": joined.unsplit,
        "of_scans": list(joined.of_scans),
    }


def _said(joined: Joined) -> list[str]:
    lines = [f"  {role:<20} {count} patients" for role, count in joined.roles.items()]
    if len(joined.roles) > 1:
        lines.append(
            f"{joined.complete} patients have every role, {len(joined.cohort.cases) - joined.complete} lack one."
        )
    if joined.several:
        lines.append(f"{joined.several} patients have several scans of a role.")
    if joined.twice:
        lines.append(f"{joined.twice} scans were met twice and kept once.")
    if joined.of_scans:
        lines.append(f"Differs between the scans of a patient and is kept with the scans: {', '.join(joined.of_scans)}")
    if joined.unsplit:
        lines.append(f"{joined.unsplit} patients are in no split while others are; split the joined table anew.")
    return lines


def _said_of_table(attached: Attached, name: str) -> list[str]:
    lines = [f"Columns of {name}: {', '.join(attached.columns) or 'none beside the ids'}"]
    if attached.cases_without_row:
        lines.append(f"{attached.cases_without_row} case(s) have no row in {name}.")
    if attached.rows_without_case:
        lines.append(f"{attached.rows_without_case} row(s) of {name} have no case.")
    return lines
