"""`insula pacs echo`, `find`, `pull` and `push`: what can be asked of a PACS without any records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from insula.cli.output import emit, json_option, on_terminal, say

if TYPE_CHECKING:
    from insula.serve.pacs.outcome import Outcome
    from insula.serve.pacs.peers import Peer
    from insula.serve.pacs.query import FoundSeries, FoundStudy
    from insula.serve.pacs.retrieved import Retrieved
    from insula.serve.pacs.settings import PacsSettings

_DAY = click.DateTime(["%Y-%m-%d"])
_SHOWN = 20  # objects that a peer did not take, by their names


@click.command()
@click.argument("peer")
@json_option
def echo(peer: str, as_json: bool) -> None:
    """Verify that PEER answers: by C-ECHO, or over DICOMweb by a search for one study.

    The exit code is 35 where it does not answer, 36 where it refuses, 37 for an answer that cannot be read.
    """
    from insula.serve.pacs import find as asking

    settings, found = _peer(peer)
    took = asking.echo(settings, found)
    emit(as_json, {"peer": found.name, "milliseconds": round(took, 1)}, f"{found.name} answers in {took:.0f} ms.")


@click.command()
@click.argument("peer")
@click.option("--patient-id", default="", metavar="ID", help="The patient's id.")
@click.option("--patient-name", default="", metavar="NAME", help="How the name begins, as DOE^JANE; * and ? fit any.")
@click.option("--accession", default="", metavar="NUMBER", help="The accession number.")
@click.option("--study", default="", metavar="UID", help="The study's UID.")
@click.option("--since", type=_DAY, metavar="YYYY-MM-DD", help="From this day on.")
@click.option("--until", type=_DAY, metavar="YYYY-MM-DD", help="Up to this day.")
@click.option("--modality", default="", metavar="CODE", help="One that the study has, as CT.")
@click.option("--description", default="", metavar="TEXT", help="A part of the study's description.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Studies at most.")
@click.option("--series", "by_series", is_flag=True, help="List the series of the study that --study names.")
@json_option
def find(
    peer: str,
    patient_id: str,
    patient_name: str,
    accession: str,
    study: str,
    since: datetime | None,
    until: datetime | None,
    modality: str,
    description: str,
    limit: int,
    by_series: bool,
    as_json: bool,
) -> None:
    """List the studies of PEER that fit, the newest first; what is not given is not asked about."""
    from insula.core.errors import UsageError
    from insula.serve.pacs import find as asking
    from insula.serve.pacs.query import Query

    settings, found = _peer(peer)
    if by_series:
        if not study:
            raise UsageError("--series lists the series of one study; name it by --study.")
        listed = asking.series(settings, found, study)
        emit(as_json, {"series": [asdict(one) for one in listed]}, _series(listed))
        return
    first, last = (None if day is None else day.date() for day in (since, until))
    query = Query(
        patient_id, patient_name, accession, study, first, last, modality=modality, description=description, limit=limit
    )
    answer = asking.find(settings, found, query)
    text = _studies(answer.studies)
    if answer.more:
        text += f"\nThere are more than {len(answer.studies)}; ask by a narrower question, or raise --limit."
    emit(as_json, {"studies": [asdict(one) for one in answer.studies], "more": answer.more}, text)


@click.command()
@click.argument("peer")
@click.argument("studies", nargs=-1, required=True)
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write the files here, by C-GET or WADO."
)
@click.option("--to", metavar="AE", help="Let PEER send to this AE title by C-MOVE, in place of --out; the node's own.")
@json_option
def pull(peer: str, studies: tuple[str, ...], out: Path | None, to: str | None, as_json: bool) -> None:
    """Fetch STUDIES, named by their UIDs, from PEER: into a folder, or to the node that listens.

    The exit code is 38 where some of the objects did not come.
    """
    from insula.core.errors import UsageError
    from insula.serve.pacs import pull as pulling
    from insula.serve.pacs.query import check_uid

    settings, found = _peer(peer)
    if out is not None and to is not None:
        raise UsageError("--out writes files here and --to has them sent elsewhere; give one of the two.")
    if out is None and found.kind != "dicom":
        raise UsageError(f"'{found.name}' sends to no AE title, since it speaks DICOMweb; name a folder by --out.")
    for one in studies:
        check_uid(one)
    target = to or settings.ae_title
    done: list[tuple[str, Retrieved]] = []
    for one in studies:
        with _bar("pull") as told:
            if out is None:
                came = pulling.move(settings, found, one, target, told)
            else:
                came = _fetched(settings, found, one, out / one, told)
        done.append((one, came))
    data = [
        {"study_uid": one, "objects": came.completed, "failed": came.failed, "refused": came.refused}
        for one, came in done
    ]
    where = f"sent to {target}" if out is None else f"in {out}"
    many = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"
    objects = sum(came.completed for _, came in done)
    text = f"{_count(objects, 'object')} of {many} {'is' if objects == 1 else 'are'} {where}"
    _end(as_json, {"peer": found.name, "studies": data}, text, sum(c.failed + c.refused for _, c in done))


@click.command()
@click.argument("peer")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@json_option
def push(peer: str, paths: tuple[Path, ...], as_json: bool) -> None:
    """Send the DICOM files among PATHS, files or folders, to PEER: by C-STORE or STOW.

    The exit code is 38 where PEER did not take all of them.
    """
    from insula.core.errors import ScanError
    from insula.serve.pacs import push as pushing
    from insula.serve.pacs.outcome import files_of, ready

    settings, found = _peer(peer)
    others: list[Path] = []
    objects = [ready(path) for path in files_of(paths, others.append)]
    if not objects:
        raise ScanError("There is no DICOM file among what was named; name its folder.")
    count = 0
    with _bar("push") as told:

        def sent(_: Outcome) -> None:
            nonlocal count
            count += 1
            told(count, len(objects))

        outcomes = pushing.push(settings, found, objects, sent)
    wrong = [one for one in outcomes if not one.taken]
    data = {
        "peer": found.name,
        "objects": len(outcomes) - len(wrong),
        "others": len(others),
        "failed": [
            {"file": str(one.ready.path), "status": f"0x{one.status:04X}", "message": one.message} for one in wrong
        ],
    }
    text = f"{len(outcomes) - len(wrong)} of {len(objects)} objects are at {found.name}"
    lines = [f"  {one.ready.path}: 0x{one.status:04X} {one.message}".rstrip() for one in wrong[:_SHOWN]]
    if others:
        lines.append(f"Passed over: {_count(len(others), 'file')} that {'is' if len(others) == 1 else 'are'} no scan.")
    _end(as_json, data, text, len(wrong), lines)


def _fetched(
    settings: PacsSettings, peer: Peer, study: str, folder: Path, told: Callable[[int, int | None], None]
) -> Retrieved:
    """Fetch a study into a folder, and say what is there of it where the rest does not come."""
    from insula.core.errors import InsulaError
    from insula.serve.pacs import pull as pulling
    from insula.serve.pacs.saved import save

    written: set[Path] = set()
    try:
        return pulling.fetch(settings, peer, study, lambda data: written.add(save(folder, data)), told)
    except InsulaError:
        if written:
            say(f"pull: {_count(len(written), 'object')} of the study came before, and are in {folder}")
        raise


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _peer(name: str) -> tuple[PacsSettings, Peer]:
    from importlib.util import find_spec

    from insula.core.errors import MissingPartError

    if any(find_spec(part) is None for part in ("pydantic_settings", "httpx", "sqlalchemy")):
        raise MissingPartError("Talking to a PACS needs parts of the service; run: pip install 'insula[serve,pacs]'.")
    from insula.serve.pacs.settings import find_peer, read_pacs_settings

    settings = read_pacs_settings()
    return settings, find_peer(settings, name)


def _end(as_json: bool, data: dict[str, Any], text: str, failed: int, more: Sequence[str] = ()) -> None:
    from insula.serve.pacs.peer_errors import PartlyDoneError

    first = f"{text}; {failed} did not come through." if failed else f"{text}."
    emit(as_json, data, "\n".join((first, *more)))
    if failed:
        sys.exit(PartlyDoneError.exit_code)


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """How many objects are done, where somebody watches."""
    if not on_terminal():
        say(f"{what}: asking the peer")
        yield lambda done, of: None
        return
    from tqdm import tqdm

    with tqdm(desc=what, unit=" objects", file=sys.stderr, leave=False) as bar:

        def told(done: int, of: int | None) -> None:
            bar.total = of
            bar.update(done - bar.n)

        yield told


def _studies(found: Sequence[FoundStudy]) -> str:
    head = ("date", "patient", "name", "modalities", "description", "series", "objects", "study")
    rows = [
        (
            one.date, one.patient_id, one.patient_name, ",".join(one.modalities), one.description, _number(one.series),
            _number(one.instances), one.study_uid,
        )
        for one in found
    ]  # fmt: skip
    return _table(head, rows) if rows else "No study fits."


def _series(found: Sequence[FoundSeries]) -> str:
    head = ("number", "modality", "body part", "description", "objects", "series")
    rows = [
        (_number(one.number), one.modality, one.body_part, one.description, _number(one.instances), one.series_uid)
        for one in found
    ]
    return _table(head, rows) if rows else "There is no such study, or it has no series."


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)
