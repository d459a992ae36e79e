"""`insula records`: the service's records and files, as whoever runs it needs them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.account import account
from insula.cli.output import emit, json_option
from insula.cli.records_backup import backup, restore
from insula.cli.records_places import files_of, records_of, settings_here

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from insula.serve.store.files import Files
    from insula.serve.store.retention import Gone, Rules
    from insula.serve.store.sound import Sound

BEHIND = 34  # exit code of records that a migration is missing of


@click.group()
def records() -> None:
    """Upgrade, back up and restore the service's records, sweep its files, export and erase patients, apply rules.

    INSULA_DATABASE is the address of the records, INSULA_FILES the folder or address of the files. What shows or
    deletes a patient's data is an entry of the trail, so it needs INSULA_TRAIL_KEY.
    """
    from importlib.util import find_spec

    from insula.core.errors import MissingPartError

    if any(find_spec(part) is None for part in ("sqlalchemy", "alembic", "fsspec", "pydantic_settings")):
        raise MissingPartError("The records need parts of the service; run: pip install 'insula[serve]'.")


records.add_command(backup)
records.add_command(restore)


@records.command()
@json_option
def upgrade(as_json: bool) -> None:
    """Run the migrations that are missing; the service does the same when it starts. Make a backup first."""
    from insula.serve.store import migrate

    with records_of(settings_here()) as engine:
        state = migrate.upgrade(engine)
    said = f"The records are of migration {state.needed}" + (
        "" if state.current else f" (before: {state.found or 'none'})"
    )
    emit(as_json, {"before": state.found, "now": state.needed}, said)


@records.command()
@click.option("--whole", is_flag=True, help="Also read all records and all files, and name what is damaged.")
@json_option
def check(whole: bool, as_json: bool) -> None:
    """Say where the records stand, and change nothing; the exit code is 34 where an upgrade is needed.

    With --whole it is 24 where a page, a row or a file is damaged.
    """
    from pathlib import Path

    from insula.core.errors import UsageError
    from insula.serve.store import migrate
    from insula.serve.store.errors import RecordsError

    kind, _, place = settings_here().database.partition(":///")
    if kind == "sqlite" and not Path(place).is_file():
        raise UsageError(f"There is no file '{place}', which INSULA_DATABASE names; insula records upgrade makes it.")
    with records_of(settings_here()) as engine:
        found = _sound(engine) if whole else None
        if found is not None and found.faults:
            told = "\n".join(found.faults)
            emit(as_json, asdict(found), f"{told}\nThe records are damaged; restore a backup: insula records restore.")
            sys.exit(RecordsError.exit_code)
        state = migrate.check(engine)
    said = f"The records are of migration {state.found or 'none'}, this program needs {state.needed}."
    said += "" if found is None else f" {found.rows} rows and {found.files} files were read, and all are sound."
    more = "" if state.current else " Run insula records upgrade."
    data = {"found": state.found, "needed": state.needed, "current": state.current}
    emit(as_json, data | (asdict(found) if found else {}), said + more)
    if not state.current:
        sys.exit(BEHIND)


@records.command()
@click.argument("patient")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New zip to write.")
@json_option
def export(patient: str, out: Path, as_json: bool) -> None:
    """Write all of PATIENT, an id, as a zip with record.json and the files."""
    from insula.core.errors import UsageError
    from insula.serve.store import patients
    from insula.serve.store.connect import reading, writing
    from insula.serve.store.erase import export_patient

    if out.exists():
        raise UsageError(f"'{out.name}' exists already; give the name of a new file.")
    with _current() as (engine, files):
        with writing(engine) as connection:
            patients.get(connection, patient, None)
            _entry(connection, "patient.export", patient)
        with reading(engine) as connection:
            counts = dict(export_patient(connection, files, patient, out))
    emit(as_json, {"out": str(out), "rows": counts}, f"{_listed(counts)}\nWrote {out}")


@records.command()
@click.argument("patient")
@click.option("--yes", is_flag=True, help="Erase; without it only the id is looked up and nothing is erased.")
@json_option
def erase(patient: str, yes: bool, as_json: bool) -> None:
    """Erase all of PATIENT, an id, from the records and the files. The trail stays, which names ids alone."""
    from insula.serve.store import patients
    from insula.serve.store.connect import reading, writing
    from insula.serve.store.erase import erase_patient, forget

    with _current() as (engine, files):
        if not yes:
            with reading(engine) as connection:
                found = patients.get(connection, patient, None)
            emit(as_json, {"erased": False, "patient": found.id}, "There is such a patient; erase with --yes.")
            return
        with writing(engine) as connection:
            erased = erase_patient(connection, files, patient)
            _entry(connection, "patient.erase", patient, dict(erased.rows))
        forget(engine)
    data = {"erased": True, "rows": dict(erased.rows), "files": erased.stored, "files_kept": erased.kept}
    kept = f"; {erased.kept} stay because other records have the same bytes" if erased.kept else ""
    emit(as_json, data, f"Erased {_listed(erased.rows)}; {erased.stored} stored files{kept}.")


@records.command()
@click.option("--older-than", default=24.0, show_default=True, metavar="HOURS", help="Leave files that are younger.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@json_option
def sweep(older_than: float, dry_run: bool, as_json: bool) -> None:
    """Delete stored files that no record names, which broken uploads leave."""
    from insula.core.errors import UsageError
    from insula.serve.store.connect import writing
    from insula.serve.store.schema import now
    from insula.serve.store.sweep import sweep as sweep_files

    if older_than < 1:
        raise UsageError(f"--older-than is {older_than:g} hours, and an upload may still run; give 1 or more.")
    with _current() as (engine, files), writing(engine) as connection:
        swept = sweep_files(connection, files, now() - timedelta(hours=older_than), dry_run)
    said = f"{swept.files} files of no record ({swept.bytes} bytes) {'would go' if dry_run else 'are gone'}."
    emit(as_json, {"dry_run": dry_run, **asdict(swept)}, said)


@records.command()
@click.argument("project")
@click.option("--files-days", metavar="DAYS|keep", help="Set how long files are kept.")
@click.option("--predictions-days", metavar="DAYS|keep", help="Set how long predictions are kept.")
@click.option("--apply", "do", is_flag=True, help="Delete what is too old; without it only count it.")
@json_option
def retention(project: str, files_days: str | None, predictions_days: str | None, do: bool, as_json: bool) -> None:
    """Show or set the rules of PROJECT, an id or name, and count or delete what is older than they allow."""
    from insula.serve.store.connect import reading, writing
    from insula.serve.store.retention import Rules, due, rules_of, set_rules
    from insula.serve.store.schema import now

    with _current() as (engine, files):
        name = _project(engine, project)
        if files_days is not None or predictions_days is not None:
            with writing(engine) as connection:
                had = rules_of(connection, name)
                rules = Rules(_days(files_days, had.files_days), _days(predictions_days, had.predictions_days))
                set_rules(connection, name, rules)
                _entry(connection, "retention.set", name, asdict(rules))
        with reading(engine) as connection:
            rules, gone = rules_of(connection, name), due(connection, name, now())
        if do:
            gone = _applied(engine, files, name)
    counts = {kind: count for kind, count in asdict(gone).items() if count}
    said = f"{_listed(counts) or 'Nothing'} {'is gone' if do else 'would go'}."
    emit(as_json, {"project": name, "rules": asdict(rules), "applied": do, **asdict(gone)}, f"{_said(rules)}\n{said}")


def _sound(engine: Engine) -> Sound:
    from insula.serve.store.sound import look

    settings = settings_here()
    return look(engine, files_of(settings) if settings.files else None)


def _applied(engine: Engine, files: Files, project: str) -> Gone:
    from insula.serve.store.connect import writing
    from insula.serve.store.erase import forget
    from insula.serve.store.retention import Gone, apply
    from insula.serve.store.schema import now

    gone, at = Gone(), now()
    while True:
        with writing(engine) as connection:
            step = apply(connection, files, project, at)
            if step != Gone():
                _entry(connection, "retention.apply", project, asdict(step))
        gone += step
        if step == Gone():
            forget(engine)
            return gone


def _entry(connection: Connection, action: str, subject: str, detail: Mapping[str, object] | None = None) -> None:
    """What was done, in the trail and in the transaction that does it."""
    from insula.serve.trail.append import append
    from insula.serve.trail.keys import trail_key

    key = trail_key(settings_here())
    append(connection, key, actor=account(), action=action, subject=subject, detail=detail or {})


def _project(engine: Engine, project: str) -> str:
    from sqlalchemy import or_, select

    from insula.core.errors import UsageError
    from insula.serve.store import schema
    from insula.serve.store.connect import reading

    projects = schema.projects.c
    with reading(engine) as connection:
        found = connection.scalars(
            select(projects.id).where(or_(projects.id == project, projects.name == project))
        ).all()
    if len(found) != 1:
        raise UsageError(f"There is no project '{project[:60]}'; give a project's id or name.")
    return str(found[0])


def _days(given: str | None, before: int | None) -> int | None:
    from insula.core.errors import UsageError

    if given is None or given == "keep":
        return before if given is None else None
    if not re.fullmatch("[0-9]{1,6}", given):
        raise UsageError(f"'{given[:20]}' is no number of days; give a number, or keep.")
    return int(given)


def _said(rules: Rules) -> str:
    files, predictions = ("for ever" if d is None else f"{d} days" for d in (rules.files_days, rules.predictions_days))
    return f"Files are kept {files}, predictions {predictions}."


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


@contextmanager
def _current() -> Iterator[tuple[Engine, Files]]:
    """Records that need no migration, and the file store. Raises RecordsError for those that need one."""
    from insula.serve.store import migrate
    from insula.serve.store.errors import RecordsError

    settings = settings_here()
    files = files_of(settings)
    with records_of(settings) as engine:
        state = migrate.check(engine)
        if not state.current:
            raise RecordsError(
                f"The records are of migration {state.found or 'none'} and {state.needed} is needed; "
                "run: insula records upgrade."
            )
        yield engine, files
