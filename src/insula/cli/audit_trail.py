"""`insula audit-trail`: verify the service's trail of who did what, export it, sign its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from insula.cli.account import account
from insula.cli.output import emit, json_option

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from insula.serve.settings import Settings
    from insula.serve.trail.verify import Verdict

FAULT = 32  # exit code of a trail that is not as it was written
CHAIN_ONLY = 33  # exit code of one that no head vouches for
_LINE = 1 << 20  # characters of a line that are read at once; an entry has far fewer


@click.group("audit-trail")
def audit_trail() -> None:
    """Verify, export and sign the service's trail of who did what.

    INSULA_DATABASE says where it lies, INSULA_TRAIL_KEY is its secret, INSULA_TRAIL_HEADS the place of its signed
    heads: a file, or an address such as s3://BUCKET/heads.
    """


@audit_trail.command()
@click.argument("export", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--heads", metavar="PLACE", help="Where the heads lie (INSULA_TRAIL_HEADS).")
@click.option("--public-key", metavar="HEX", help="Judge EXPORT by its heads alone, without the secret.")
@click.option("--chain-only", is_flag=True, help="End with 0 though no head vouches for the end of the trail.")
@json_option
def verify(export: Path | None, heads: str | None, public_key: str | None, chain_only: bool, as_json: bool) -> None:
    """Name the first entry that is not as it was written, or say how far the trail holds.

    Without EXPORT the trail of INSULA_DATABASE is read. EXPORT is a file of JSON lines with all entries; with the
    public key, which `insula audit-trail head` shows, it needs neither the database nor the secret. The exit code is
    32 where something is at fault, and 33 where there is no head, so that a cut at the end cannot be seen.
    """
    settings = _settings()
    place = settings.trail_heads if heads is None else heads
    verdict = _verdict(settings, export, public_key, place)
    fault = verdict.fault
    told = {
        "holds": verdict.holds,
        "chain_only": verdict.chain_only,
        "entries": verdict.entries,
        "covered": verdict.covered,
        "heads": verdict.heads,
        "spoilt_heads": verdict.spoilt,
        "fault": {"seq": fault.seq, "kind": fault.kind, "said": fault.said} if fault else None,
    }
    emit(as_json, told, verdict.said())
    if not verdict.holds:
        sys.exit(FAULT)
    if verdict.chain_only and not chain_only:
        sys.exit(CHAIN_ONLY)


@audit_trail.command()
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="New file to write.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", help="JSON lines, or CSV.")
@click.option("--actor", default="", help="Only what this user did, by id.")
@click.option("--action", default="", help="Only this action, as study.read.")
@click.option("--subject", default="", help="Only what was done to this, by id.")
@click.option("--outcome", default="", help="Only what ended so, as refused.")
@click.option("--since", type=click.DateTime(), help="From this instant on, UTC.")
@click.option("--until", type=click.DateTime(), help="Before this instant, UTC.")
@json_option
def export(
    out: Path,
    form: str,
    actor: str,
    action: str,
    subject: str,
    outcome: str,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Write entries to a file, the oldest first; the export is an entry of the trail itself.

    JSON lines without a filter can be verified later, by whoever has the heads and the public key.
    """
    from insula.core.errors import UsageError
    from insula.serve.store.connect import reading, writing
    from insula.serve.trail.append import append
    from insula.serve.trail.export import csv_lines, json_lines
    from insula.serve.trail.keys import trail_key
    from insula.serve.trail.search import Filter, matching

    if out.exists():
        raise UsageError(f"'{out.name}' exists already; give the name of a new file.")
    settings = _settings()
    key = trail_key(settings)
    wanted = Filter(actor, action, subject, outcome, _utc(since), _utc(until))
    count = 0
    with _records(settings) as engine:
        with writing(engine) as connection:
            append(connection, key, actor=account(), action="trail.export", detail={"format": form})
        part = out.with_name(f"{out.name}.part")
        with reading(engine) as connection, part.open("w", encoding="utf-8", newline="") as file:
            for line in (csv_lines if form == "csv" else json_lines)(matching(connection, wanted)):
                file.write(line)
                count += 1
        part.replace(out)
    count -= form == "csv"
    emit(as_json, {"file": str(out), "entries": count}, f"{count} entries: {out}")


@audit_trail.command()
@click.option("--heads", metavar="PLACE", help="Where to keep it (INSULA_TRAIL_HEADS).")
@click.option("--if-due", is_flag=True, help="Only after 1000 entries or an hour since the last head.")
@json_option
def head(heads: str | None, if_due: bool, as_json: bool) -> None:
    """Sign the end of the trail and keep it outside the database; shows the public key.

    The entries since the last head are verified first, and nothing is signed where one is not as it was written.
    """
    from insula.core.errors import UsageError
    from insula.serve.trail.keep import keep_head, keep_head_if_due
    from insula.serve.trail.keys import public_key, trail_key

    settings = _settings()
    key, place = trail_key(settings), heads or settings.trail_heads
    if not place:
        raise UsageError(
            "No place for heads is named; set INSULA_TRAIL_HEADS to a file or an address, or give --heads."
        )
    with _records(settings) as engine:
        kept = (keep_head_if_due if if_due else keep_head)(engine, key, place)
    public = public_key(key)
    said = f"Head kept for entry {kept.seq}." if kept else "No head was due: none was kept."
    told = {"kept": {"seq": kept.seq, "digest": kept.digest, "at": kept.at} if kept else None, "public_key": public}
    emit(as_json, told, f"{said}\nPublic key: {public}")


def _verdict(settings: Settings, export: Path | None, public: str | None, place: str) -> Verdict:
    from insula.core.errors import UsageError
    from insula.serve.trail.export import read_lines
    from insula.serve.trail.keys import entry_key, public_key, trail_key
    from insula.serve.trail.places import Heads, read_heads
    from insula.serve.trail.verify import judged, verify, verify_export

    if export is None:
        if public is not None:
            raise UsageError("A public key judges an exported trail; give its file, or leave out --public-key.")
        key = trail_key(settings)
        with _records(settings) as engine:
            return verify(engine, key, place)
    with export.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        entries = read_lines(iter(lambda: lines.readline(_LINE), ""))
        if public is None:
            key = trail_key(settings)
            return judged(entries, entry_key(key), read_heads(place, public_key(key)) if place else Heads())
        if not place:
            raise UsageError("Without the secret the heads alone can judge; set INSULA_TRAIL_HEADS or give --heads.")
        return verify_export(entries, public, place)


def _settings() -> Settings:
    from importlib.util import find_spec

    from insula.core.errors import MissingPartError

    if find_spec("sqlalchemy") is None or find_spec("pydantic_settings") is None or find_spec("cryptography") is None:
        raise MissingPartError("The trail needs parts of the service; run: pip install 'insula[serve]'.")
    from insula.serve.settings import read_settings

    return read_settings()


@contextmanager
def _records(settings: Settings) -> Iterator[Engine]:
    """The database with the trail; UsageError where there is none or it does not answer."""
    from sqlalchemy import inspect
    from sqlalchemy.exc import DBAPIError

    from insula.core.errors import UsageError
    from insula.serve.store.connect import connect

    if not settings.database:
        raise UsageError("No database is named; set INSULA_DATABASE to its address.")
    engine = connect(settings.database)
    try:
        if not inspect(engine).has_table("trail"):
            raise UsageError(
                "The database of INSULA_DATABASE has no trail; check the address, or start the service once."
            )
        yield engine
    except DBAPIError as error:  # its text may repeat the address
        raise UsageError(
            f"The database of INSULA_DATABASE does not answer as it should ({type(error.orig).__name__}); "
            "check its address, whether it runs, and the rights of this account."
        ) from error
    finally:
        engine.dispose()


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)
