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
    """Say how many received studies come in, wait, failed or fit no rule, and what the node has yet to do."""
    from insula.core.errors import UsageError
    from insula.serve.pacs import state
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
            jobs, troubled = state.jobs(connection), state.troubled(connection)
    finally:
        engine.dispose()
    data: dict[str, Any] = {"studies": studies, "backlog": backlog, "jobs": jobs}
    data["troubled"] = [{**asdict(one), "last_at": one.last_at.isoformat()} for one in troubled]
    lines = [
        "Received studies: " + ", ".join(f"{count} {name}" for name, count in studies.items()),
        f"Waiting for an answer: {backlog}",
        *(f"Jobs {kind}: " + ", ".join(f"{n} {name}" for name, n in of.items()) for kind, of in jobs.items()),
        *(
            f"{one.id}  {one.state}  from {one.source}, {one.last_at:%Y-%m-%d %H:%M} UTC"
            + (f": {one.error.get('message', '')}" if one.error else "")
            for one in troubled
        ),
    ]
    emit(as_json, data, "\n".join(lines))


@click.command()
@click.argument("scans", nargs=-1, type=click.Path(path_type=Path))
@click.option("--rules", "path", type=click.Path(path_type=Path), help="The file (INSULA_PACS_RULES).")
@click.option("--source", default="", metavar="AE", help="Who is taken to send the scans.")
@json_option
def rules(scans: tuple[Path, ...], path: Path | None, source: str, as_json: bool) -> None:
    """Check the file of rules, and show what would become of each series of SCANS (files or folders).

    Nothing is stored or sent. Peers that the rules name have to be in INSULA_PACS_PEERS.
    """
    from insula.core.errors import UsageError
    from insula.serve.pacs.foreseen import foresee
    from insula.serve.pacs.rules import check_rules, read_rules
    from insula.serve.pacs.settings import read_pacs_settings

    settings = read_pacs_settings(rules=path)
    if settings.rules is None:
        raise UsageError("No file of rules is named; give --rules FILE, or set INSULA_PACS_RULES.")
    found = read_rules(settings.rules)
    check_rules(found, settings)
    series = foresee(found, scans, source)
    data = {"rules": [rule.name for rule in found.rules], "series": [asdict(one) for one in series]}
    emit(as_json, data, "\n".join([f"{len(found.rules)} rules, sound.", *_told(series)]))


def _told(series: Sequence[Foreseen]) -> list[str]:
    return [
        f"{one.modality or '?'} '{one.description}' of '{one.study_description}' ({one.objects} objects): "
        + (
            "no rule takes it"
            if one.rule is None
            else f"rule '{one.rule}', project '{one.project}', {one.model or 'no model'}, "
            + (f"to {', '.join(one.send)}" if one.send else "sent nowhere")
            + (", under pseudonyms" if one.pseudonymise else "")
        )
        for one in series
    ]
