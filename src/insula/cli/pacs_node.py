"""`insula pacs listen`, `status` and `rules`: the node, what waits in it, and what would become of a scan."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option

if TYPE_CHECKING:
    from insula.serve.pacs.foreseen import Foreseen
    from insula.serve.pacs.rules import Rules
    from insula.serve.pacs.state import Troubled

_SENDINGS = {"again": "tried again"}


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--host", help="Address to listen on (INSULA_PACS_HOST; 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (INSULA_PACS_PORT; 11112).")
@click.option("--jobs", type=click.IntRange(0, 64), help="Predictions at a time here; 1 with a BUNDLE, else 0.")
@click.option("--json-logs", is_flag=True, help="Write the log as JSON lines.")
@json_option
def listen(
    bundle: Path | None, host: str | None, port: int | None, jobs: int | None, json_logs: bool, as_json: bool
) -> None:
    """Take DICOM objects from the network until Ctrl-C, and send back what was found in them.

    The records are those of the service: INSULA_DATABASE, INSULA_FILES, INSULA_TRAIL_KEY. INSULA_PACS_RULES names the
    file that says what becomes of a study. This process predicts as well with BUNDLE or --jobs, by the models that are
    registered; without, `insula serve` or `insula worker` does. Killed at any moment, it loses nothing that it
    acknowledged.
    """
    from insula.core.arenas import few_arenas

    few_arenas()
    from insula.core.log import configure
    from insula.serve.model import line_of, pool_of
    from insula.serve.models.limit import ClientLimit
    from insula.serve.models.registered import take_in
    from insula.serve.pacs.node import ready, running
    from insula.serve.pacs.settings import read_pacs_settings
    from insula.serve.service import open_service
    from insula.serve.settings import read_settings

    configure(json_lines=json_logs)
    threads = (1 if bundle else 0) if jobs is None else jobs
    pacs, settings = read_pacs_settings(host=host, port=port), read_settings(bundle=bundle)
    ready(pacs, settings)
    if not threads:  # INSULA_BUNDLE may be set for the service beside
        settings = settings.model_copy(update={"bundle": None})
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    service = open_service(settings, pool_of(settings), line_of(settings), ClientLimit(0.0, 1))
    try:
        if threads:
            take_in(service)
        with running(service, pacs, threads) as found:
            told = {"host": pacs.host, "port": found, "ae_title": pacs.ae_title}
            text = f"{pacs.ae_title} listens on {pacs.host}:{found} (Ctrl-C ends it). Research use only."
            click.echo(json.dumps({"listening": told}) if as_json else text)
            stop.wait()
    finally:
        service.records.dispose()


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Say how far received studies and the sending of answers are, and what waits for somebody to mend it.

    Studies are named by the service's own ids, with their dates and descriptions, and without their patients.
    """
    from insula.core.errors import UsageError
    from insula.serve.pacs import delivered, state
    from insula.serve.settings import Settings
    from insula.serve.store.connect import connect, reading
    from insula.serve.store.migrate import check

    settings = Settings()
    if not settings.database:
        raise UsageError("No records are named; set INSULA_DATABASE as the service has it.")
    engine = connect(settings.database)
    try:
        if not check(engine).current:
            raise UsageError("The records are of another version of this program; run: insula records upgrade.")
        with reading(engine) as connection:
            studies, backlog = state.counts(connection), state.backlog(connection)
            studies["taken"] = state.taken(connection)
            sendings, unsent = delivered.counts(connection), delivered.troubled(connection)
            jobs, troubled = state.jobs(connection), state.troubled(connection)
    finally:
        engine.dispose()
    data: dict[str, Any] = {"studies": studies, "backlog": backlog, "jobs": jobs}
    data["troubled"] = [{**asdict(one), "last_at": one.last_at.isoformat()} for one in troubled]
    data["sendings"] = sendings
    data["unsent"] = [{"study": study, **asdict(one), "at": one.at.isoformat()} for study, one in unsent]
    lines = [
        "Received studies: " + ", ".join(f"{count} {name}" for name, count in studies.items()),
        "Sendings: " + ", ".join(f"{count} {_SENDINGS.get(name, name)}" for name, count in sendings.items()),
        f"Waiting for an answer: {backlog}",
        *(f"Jobs {kind}: " + ", ".join(f"{n} {name}" for name, n in of.items()) for kind, of in jobs.items()),
        *(
            f"{one.id}  {one.state}  {_study(one)} from {one.source}, {one.last_at:%Y-%m-%d %H:%M} UTC"
            + (f": {one.error.get('message', '')}" if one.error else "")
            for one in troubled
        ),
        *(
            f"{study}  sending to {one.peer} "
            + (f"is tried again (attempt {one.attempts + 1})" if one.state == "again" else "failed")
            + (f": {one.error.get('message', '')}" if one.error else "")
            for study, one in unsent
        ),
    ]
    emit(as_json, data, "\n".join(lines))


def _study(one: Troubled) -> str:
    date = one.study_date
    return f"{date[:4]}-{date[4:6]}-{date[6:]} '{one.description}'" if date else f"undated '{one.description}'"


@click.command()
@click.argument("scans", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rules", "path", type=click.Path(path_type=Path), help="The file (INSULA_PACS_RULES).")
@click.option("--source", default="", metavar="AE", help="Who is taken to send the scans.")
@json_option
def rules(scans: tuple[Path, ...], path: Path | None, source: str, as_json: bool) -> None:
    """Check the file of rules, and show what would become of each series of SCANS (files or folders).

    Nothing is stored or sent. Peers that the rules name have to be in INSULA_PACS_PEERS. Projects and models are looked
    up where INSULA_DATABASE names the records.
    """
    from insula.core.errors import UsageError
    from insula.serve.pacs import advice
    from insula.serve.pacs.foreseen import foresee
    from insula.serve.pacs.rules import check_rules, read_rules
    from insula.serve.pacs.settings import read_pacs_settings

    settings = read_pacs_settings(rules=path)
    if settings.rules is None:
        raise UsageError("No file of rules is named; give --rules FILE, or set INSULA_PACS_RULES.")
    found = read_rules(settings.rules)
    check_rules(found, settings)
    missing = _missing(found)
    doubts, notes = (*advice.of_rules(found, settings), *(missing or ())), advice.notes(found)
    series = foresee(found, scans, source)
    data: dict[str, Any] = {"rules": [rule.name for rule in found.rules], "series": [asdict(one) for one in series]}
    data |= {"doubts": doubts, "notes": notes, "records": missing is not None}
    many = f"{len(found.rules)} {'rule' if len(found.rules) == 1 else 'rules'}"
    lines = [f"{many}, with something to look at:" if doubts else f"{many}, sound.", *(f"  {one}" for one in doubts)]
    if missing is None:
        lines.append("Projects and models were not looked up; set INSULA_DATABASE as the service has it.")
    emit(as_json, data, "\n".join([*lines, *notes, *_told(series)]))


def _missing(rules: Rules) -> tuple[str, ...] | None:
    """What the rules name and the records do not have; None without records."""
    from insula.serve.pacs import advice
    from insula.serve.settings import Settings
    from insula.serve.store.connect import connect, reading
    from insula.serve.store.migrate import check

    if not (database := Settings().database):
        return None
    engine = connect(database)
    try:
        if not check(engine).current:
            return None
        with reading(engine) as connection:
            return advice.of_records(rules, connection)
    finally:
        engine.dispose()


def _told(series: Sequence[Foreseen]) -> list[str]:
    return [
        f"{one.modality or '?'} '{one.description}' of '{one.study_description}' "
        f"({one.objects} {'object' if one.objects == 1 else 'objects'}): "
        + (
            "no rule takes it"
            if one.rule is None
            else f"rule '{one.rule}', project '{one.project}', {one.model or 'no model'}, "
            + (f"to {', '.join(one.send)}" if one.send else "sent nowhere")
            + (", under pseudonyms" if one.pseudonymise else "")
        )
        for one in series
    ]
