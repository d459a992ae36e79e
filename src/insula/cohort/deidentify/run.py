"""A folder of scans, cleaned into another: whole, or resumable where it was stopped."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insula import __version__
from insula.cohort.deidentify import find_text, journal, labels, names, one, profile
from insula.cohort.deidentify.journal import Row
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.names import Planned
from insula.cohort.deidentify.one import BurnedIn, Outcome, Policy
from insula.cohort.deidentify.report import Report
from insula.core.cells import guarded
from insula.core.errors import CohortError, UsageError
from insula.core.provenance import write_bytes, write_text

Progress = Callable[..., Iterable[Any]]


@dataclass(frozen=True)
class Job:
    """What is asked for: the folders, the options of the profile, and what becomes of writing in pictures.

    keep_names: folders whose names stay. table, keep_columns: a CSV of labels that is rewritten, and its columns that
    stay. mapping: a file that lists old and new names; outside both folders.
    """

    source: Path
    out: Path
    options: frozenset[str]
    burned_in: BurnedIn = "blank"
    keep_names: tuple[str, ...] = ()
    table: Path | None = None
    keep_columns: tuple[str, ...] = ()
    mapping: Path | None = None


def run(job: Job, key: Key, progress: Progress | None = None) -> Report:
    """Clean every file of a folder into a new one; what cannot be cleaned is not copied, and the report says why.

    Nothing is written into the source. A run that was stopped goes on when the key is a lasting one. Raises
    CohortError for a folder that is missing or empty, UsageError for places or options that do not fit,
    MissingPartError when writing is to be blanked and Tesseract is not installed.
    """
    options = profile.check(job.options)
    _check_places(job)
    policy = Policy(options, job.burned_in, _program(job.burned_in))
    planned = names.plan(job.source, key, job.keep_names)
    if job.table is not None:
        planned = [item for item in planned if item.path.resolve() != job.table.resolve()]
    done = journal.start(job.out, _terms(key, policy, job))
    rows: list[Row] = []
    taken: set[str] = set()
    mapping: list[tuple[str, str, str]] = []
    items = progress(list(enumerate(planned, 1)), "cleaning", len(planned)) if progress else enumerate(planned, 1)
    for number, item in items:
        source = _source(item, key)
        row = done.get(source)
        if row is None or (row.file and not (job.out / row.file).is_file()):
            outcome = one.process(item.path, key, policy)
            row = _write(number, item, source, outcome, job.out, taken)
            journal.add(job.out, row)
        rows.append(row)
        taken.add(row.file)
        if job.mapping is not None:
            mapping += _pairs(item, row, key, "retain-uids" in options)
    written = {item.relative: row.file for item, row in zip(planned, rows, strict=True) if row.file}
    table = None
    if job.table is not None:
        table = labels.clean(job.table, key, names.new_places(planned, written), job.keep_columns)
        write_text(job.out / "labels.csv", table.text)
    if job.mapping is not None:
        _write_mapping(job.mapping, mapping)
    looked, columns = policy.program is not None, tuple(job.keep_columns) if job.table is not None else ()
    chosen = tuple(sorted(options))
    report = Report(tuple(rows), chosen, job.burned_in, looked, key.lasting, table, tuple(job.keep_names), columns)
    report.write(job.out)
    journal.finish(job.out)
    return report


def _check_places(job: Job) -> None:
    source, out = job.source.resolve(), job.out.resolve()
    if not source.is_dir():
        raise CohortError(f"Folder '{job.source.name}' does not exist; give the folder that holds the scans.")
    if out == source or out.is_relative_to(source) or source.is_relative_to(out):
        raise UsageError("The output folder and the folder of the scans lie in each other; give --out another place.")
    if job.table is not None and not job.table.is_file():
        raise CohortError(f"'{job.table.name}' does not exist; give the table of labels.")
    if job.mapping is None:
        return
    mapping = job.mapping.resolve()
    if mapping.is_relative_to(out) or mapping.is_relative_to(source):
        raise UsageError("The mapping leads back to the patients; give --mapping a place outside both folders.")
    if mapping.exists():
        raise UsageError(f"'{job.mapping.name}' exists already; give --mapping a new file.")
    if not mapping.parent.is_dir():
        raise UsageError(f"The folder of '{job.mapping.name}' does not exist; make it first.")


def _program(burned_in: BurnedIn) -> str | None:
    """Tesseract where writing is looked for; blanking cannot do without, quarantine then goes by the header."""
    if burned_in == "keep":
        return None
    if burned_in == "blank":
        return find_text.reader()
    return find_text.installed()


def _terms(key: Key, policy: Policy, job: Job) -> dict[str, Any]:
    return {
        "insula": __version__,
        "key": key.check(),
        "options": sorted(policy.options),
        "burned_in": [policy.burned_in, policy.program is not None],
        "keep_names": sorted(name.lower() for name in job.keep_names),
    }


def _source(item: Planned, key: Key) -> str:
    facts = item.path.stat()
    return key.digest("source", f"{item.relative}\0{facts.st_size}\0{facts.st_mtime_ns}").hex()[:32]


def _write(number: int, item: Planned, source: str, outcome: Outcome, out: Path, taken: set[str]) -> Row:
    file = ""
    if outcome.data is not None:
        file = "/".join(part for part in (item.folder, item.number + outcome.suffix) if part)
        if file in taken:
            outcome = Outcome("quarantined", outcome.kind, "its copy would get the name of another; rename it")
            file = ""
        elif outcome.data is not None:
            write_bytes(out / file, outcome.data)
    return Row(
        number=number,
        source=source,
        file=file,
        kind=outcome.kind,
        status=outcome.status,
        reason=outcome.reason,
        pixels=outcome.pixels,
        boxes=[[box.x, box.y, box.width, box.height] for box in outcome.boxes],
        attributes=outcome.tally.to_dict(),
        notes=sorted(set(outcome.tally.notes)),
        on_head=outcome.on_head,
    )


def _pairs(item: Planned, row: Row, key: Key, uids_stay: bool) -> list[tuple[str, str, str]]:
    """Old and new of one file: its name, and of a DICOM file its patient, the shift of dates and the UIDs."""
    pairs = [("file", item.relative, row.file or f"{row.status}, row {row.number}")]
    if row.kind == "dicom" and row.file:
        who, uids = one.identifiers(item.path)
        pairs += [("patient", who, key.name(who)), ("days", who, str(key.days(who)))]
        pairs += [] if uids_stay else [("uid", uid, key.uid(uid)) for uid in uids]
    return pairs


def _write_mapping(path: Path, pairs: list[tuple[str, str, str]]) -> None:
    """A CSV that its owner alone can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("kind", "old", "new"))
        writer.writerows((kind, guarded(old), new) for kind, old, new in dict.fromkeys(pairs))
