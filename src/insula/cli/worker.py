"""`insula worker`: a process that works on the jobs of a service."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from insula.cli.output import emit, json_option


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="Jobs at a time.")
@click.option("--until-idle", is_flag=True, help="End when no job is left to begin.")
@click.option("--json-logs", is_flag=True, help="Write the log as JSON lines.")
@json_option
def worker(bundle: Path | None, threads: int, until_idle: bool, json_logs: bool, as_json: bool) -> None:
    """Work on the jobs of the service whose records INSULA_DATABASE names, until Ctrl-C.

    Models are loaded from where the service registered them; BUNDLE is loaded at once. The same environment as the
    service's is needed: INSULA_DATABASE, INSULA_FILES, INSULA_TRAIL_KEY. Killed at any moment, it loses nothing: its
    job is taken up by another worker a minute later.
    """
    from insula.core.arenas import few_arenas

    few_arenas()
    from insula.core.errors import UsageError
    from insula.core.log import configure
    from insula.serve.jobs.worker import work
    from insula.serve.model import line_of, pool_of
    from insula.serve.models.limit import ClientLimit
    from insula.serve.service import open_service
    from insula.serve.settings import read_settings
    from insula.serve.work import at_work, handlers, worker_name

    stop = threading.Event()
    if not until_idle:
        for sign in (signal.SIGINT, signal.SIGTERM):  # from the start: who ends it while it opens its records may do so
            signal.signal(sign, lambda *_: stop.set())
    configure(json_lines=json_logs)
    settings = read_settings(bundle=bundle)
    if not settings.database:
        raise UsageError("No records are named; set INSULA_DATABASE, INSULA_FILES and INSULA_TRAIL_KEY as the service.")
    service = open_service(settings, pool_of(settings), line_of(settings), ClientLimit(0.0, 1))
    if until_idle:
        ended = work(service.records, handlers(service), worker_name(), threading.Event(), until_idle=True)
        emit(as_json, {"ended": ended}, f"{ended} jobs ended; none is left to begin.")
        return
    if stop.is_set():
        return
    with at_work(service, threads):
        click.echo("Insula works on jobs (Ctrl-C ends it; jobs at work are given back). Research use only.")
        stop.wait()
