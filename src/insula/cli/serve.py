"""`insula serve`: a bundle behind HTTP."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click


@click.command()
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--host", help="Address to listen on (INSULA_HOST; 127.0.0.1). Any other needs INSULA_API_KEY.")
@click.option("--port", type=int, help="Port to listen on, 0 for a free one (INSULA_PORT; 8000).")
@click.option("--threads", type=int, help="CPU threads of one prediction (INSULA_THREADS).")
@click.option("--json-logs", is_flag=True, help="Write the log as JSON lines.")
def serve(bundle: Path | None, host: str | None, port: int | None, threads: int | None, json_logs: bool) -> None:
    """Serve the model of BUNDLE over HTTP: a page at /, and /predict, /batch_predict, /model_info, /health.

    With INSULA_DATABASE, INSULA_FILES and INSULA_TRAIL_KEY set it keeps records as well: people who log in, studies,
    jobs, reviews and the audit trail, under /api/v1. Let the first person in: insula users create NAME --role admin.
    """
    serve_bundle(bundle, host, port, threads, json_logs)


def serve_bundle(
    bundle: Path | None,
    host: str | None = None,
    port: int | None = None,
    threads: int | None = None,
    json_logs: bool = False,
) -> None:
    """Listen until Ctrl-C; what is None comes from the environment. Raises UsageError when no bundle is named."""
    from insula.core.arenas import few_arenas
    from insula.core.errors import MissingPartError, UsageError
    from insula.core.log import configure

    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise MissingPartError(
            "Serving needs FastAPI and uvicorn, which are missing; run: pip install 'insula[serve]'."
        )
    few_arenas()
    from insula.serve.run import listen
    from insula.serve.settings import read_settings

    configure(json_lines=json_logs)
    settings = read_settings(bundle=bundle, host=host, port=port, threads=threads)
    if settings.bundle is None and not settings.database:
        raise UsageError("No bundle is named; give its folder: insula serve BUNDLE, or set INSULA_BUNDLE.")
    listen(settings, lambda address: click.echo(_told(address)))


def _told(address: str) -> str:
    """Where it listens; or, where there is no address any more, that it has ended."""
    if address.startswith("http"):
        return f"Insula listens on {address} (Ctrl-C ends it). Research use only."
    return "Insula has ended: it was asked to."
