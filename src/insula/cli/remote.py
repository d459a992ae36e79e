"""`insula remote`: a service of Insula, used over its API."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from insula.cli.case import split
from insula.cli.output import emit, json_option, on_terminal, say
from insula.core.errors import UnsuitableScanError, UsageError

if TYPE_CHECKING:
    from insula.client import Client, Job, Prediction, Study

Command = TypeVar("Command", bound=Callable[..., Any])
_PATH = click.Path(path_type=Path)
_FORMATS = {".pdf": "pdf", ".html": "html", ".json": "json"}
_VERDICTS = ("agree", "override", "cannot_tell")
_ID = re.compile(r"[0-9a-f]{32}")


@click.group("remote")
def remote() -> None:
    """Use a service of Insula that runs elsewhere.

    INSULA_REMOTE is its address, INSULA_REMOTE_KEY an API key, which is never an argument that others could read.
    """


def _served(command: Command) -> Command:
    """Add `--server`, `--insecure` and `--json`; the command gets an open `client` in place of the first two."""

    @functools.wraps(command)
    def run(server: str, insecure: bool, **given: Any) -> None:
        from insula.client import Client

        with Client(server, insecure=insecure) as client:
            command(client=client, **given)

    for add in (
        json_option,
        click.option("--insecure", is_flag=True, help="Allow plain http to another machine, which others can read."),
        click.option("--server", default="", metavar="URL", help="The service's address (INSULA_REMOTE)."),
    ):
        run = add(run)
    return run  # type: ignore[return-value]


def _study_options(command: Command) -> Command:
    """Add what an upload needs, but for the scans."""
    for add in (
        click.option("--title", default="", help="The study's title."),
        click.option("--with", "known", multiple=True, metavar="NAME=VALUE", help="A clinical column, as age=63."),
        click.option(
            "--scan", "by_role", multiple=True, metavar="ROLE=PATH", help="The scan of one of several inputs."
        ),
    ):
        command = add(command)
    return command


@remote.command()
@_served
def health(client: Client, as_json: bool) -> None:
    """Say whether the service is up and has a model; needs no key."""
    found = client.health()
    model = "with a model" if found.model_loaded else "without a model"
    emit(as_json, _plain(found), f"{client.address} is up, {model}.")


@remote.command()
@_served
def models(client: Client, as_json: bool) -> None:
    """List the service's models, and which of them answers."""
    found = client.models()
    rows = [(m.name, m.state, "loaded" if m.loaded else "not loaded", m.bundle_id) for m in found]
    emit(as_json, {"models": [_plain(m) for m in found]}, _table(("name", "state", "here", "bundle"), rows))


@remote.command()
@click.argument("scans", nargs=-1, type=_PATH)
@click.option("--project", required=True, metavar="NAME|ID", help="The project that the patient belongs to.")
@click.option("--patient", required=True, metavar="KEY", help="The patient's key within the project.")
@_study_options
@_served
def upload(client: Client, scans: tuple[Path, ...], as_json: bool, **given: Any) -> None:
    """Make a study of SCANS: files, folders or zip files of one patient; each input of several by --scan."""
    study = _uploaded(client, scans, **given)
    emit(as_json, {"study": _plain(study)}, f"Study {study.id} is kept, with {_count(len(study.files), 'file')}.")


@remote.command()
@click.argument("scans", nargs=-1, type=_PATH)
@click.option("--study", "known_study", metavar="ID", help="Predict a study that is there, in place of SCANS.")
@click.option("--project", metavar="NAME|ID", help="The project that the patient belongs to.")
@click.option("--patient", metavar="KEY", help="The patient's key within the project.")
@_study_options
@click.option("--model", metavar="NAME|ID", help="The model, where several are in charge: a recipe or a bundle's id.")
@click.option("--series", multiple=True, metavar="ROLE=NUMBER", help="The series of an input that has several.")
@click.option("--uncertainty", is_flag=True, help="Add the spread of the source that the model's policy refers by.")
@click.option("--wait", type=click.FloatRange(0), default=600.0, show_default=True, help="Seconds to wait at most.")
@click.option("--report", "out", type=_PATH, metavar="FILE", help="Write the report: .pdf, .html or .json.")
@click.option("--language", type=click.Choice(["en", "tr"]), default="en", show_default=True, help="Of the report.")
@_served
def predict(
    client: Client,
    scans: tuple[Path, ...],
    known_study: str | None,
    project: str | None,
    patient: str | None,
    by_role: tuple[str, ...],
    known: tuple[str, ...],
    title: str,
    model: str | None,
    series: tuple[str, ...],
    uncertainty: bool,
    wait: float,
    out: Path | None,
    language: str,
    as_json: bool,
) -> None:
    """Upload SCANS, predict them with the service's model, and write the report; a rejected scan ends with 14."""
    form = "" if out is None else _format(out, None)
    numbers = dict(_series(text) for text in series)
    if known_study is not None and (scans or by_role or project or patient or title):
        raise UsageError("--study names a study that is there; leave SCANS, --scan, --project, --patient, --title out.")
    if known_study is None and (project is None or patient is None):
        raise UsageError("An upload needs --project and --patient; or name a study that is there by --study.")
    if known_study is None:
        study = _uploaded(client, scans, str(project), str(patient), by_role, known, title).id
    else:
        study = known_study
    attributes = dict(split(text, "--with") for text in known)
    found = client.predict_study(
        study, wait=wait, model=model, series=numbers, attributes=attributes, uncertainty=uncertainty, told=_steps()
    )
    data: dict[str, Any] = {"prediction": _plain(found)}
    lines = _said(found)
    if out is not None:
        out.write_bytes(client.report(found, form, language))
        data["report"] = str(out)
        lines.append(f"report: {out}")
    emit(as_json, data, "\n".join(lines))
    if found.action == "reject":
        sys.exit(UnsuitableScanError.exit_code)


@remote.command()
@click.option("--since", type=click.DateTime(), help="From this instant on, in this machine's time zone.")
@click.option("--until", type=click.DateTime(), help="Before this instant.")
@click.option("--action", type=click.Choice(["accept", "refer", "reject"]), help="Only these decisions.")
@click.option("--label", metavar="NAME", help="Only this answer.")
@click.option("--model", metavar="ID", help="Only this bundle's.")
@click.option("--patient", metavar="PART", help="Only where the patient's key holds this.")
@click.option("--disagreed", is_flag=True, help="Only where a reader disagreed.")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="Rows at most.")
@_served
def history(
    client: Client,
    since: datetime | None,
    until: datetime | None,
    disagreed: bool,
    most: int,
    as_json: bool,
    **filters: str | None,
) -> None:
    """List predictions, the newest first."""
    wanted: dict[str, Any] = {**filters, "disagreed": disagreed or None}
    found = list(islice(client.history(since=_zoned(since), until=_zoned(until), **wanted), most))
    rows = [
        (f"{r.created_at:%Y-%m-%d %H:%M}", r.patient_key, r.label, _sure(r), r.action, _read(r), r.id) for r in found
    ]
    head = ("made", "patient", "answer", "confidence", "decision", "read", "prediction")
    emit(as_json, {"predictions": [_plain(r) for r in found]}, _table(head, rows))


@remote.command()
@click.argument("prediction")
@click.option("--out", required=True, type=_PATH, help="File to write.")
@click.option("--format", "form", type=click.Choice(["pdf", "html", "json", "fhir"]), help="By the file's name if not.")
@click.option("--language", type=click.Choice(["en", "tr"]), default="en", show_default=True, help="Of the report.")
@_served
def report(client: Client, prediction: str, out: Path, form: str | None, language: str, as_json: bool) -> None:
    """Write the report of PREDICTION, by its id."""
    wanted = _format(out, form)
    out.write_bytes(client.report(prediction, wanted, language))
    emit(as_json, {"report": str(out), "format": wanted}, f"report: {out}")


@remote.command()
@click.argument("study")
@click.option("--target", required=True, metavar="NAME", help="The question, by its name in the recipe.")
@click.option("--verdict", required=True, type=click.Choice(_VERDICTS), help="What you say of the prediction.")
@click.option("--signature", required=True, metavar="NAME", help="Your name.")
@click.option("--prediction", metavar="ID", help="The prediction that you read; without it the study is labelled anew.")
@click.option("--label", metavar="NAME", help="Your own answer, where you do not agree.")
@click.option("--comment", default="", help="What else there is to say.")
@_served
def review(client: Client, study: str, as_json: bool, **said: Any) -> None:
    """Say what you read in STUDY: agree with a prediction, override it, or label the study from scratch."""
    made = client.review(study, **said)
    emit(as_json, {"review": _plain(made)}, f"Review {made.id} is kept: {made.verdict}.")


@remote.command()
@click.option("--second", is_flag=True, help="What one other reader has answered.")
@click.option("--most", type=click.IntRange(1), default=50, show_default=True, help="Rows at most.")
@_served
def queue(client: Client, second: bool, most: int, as_json: bool) -> None:
    """List what waits to be read, the most uncertain first."""
    found = list(islice(client.queue(second), most))
    rows = [(w.label, _sure(w), w.action, w.study_id, w.id) for w in found]
    head = ("answer", "confidence", "decision", "study", "prediction")
    emit(as_json, {"waiting": [_plain(w) for w in found]}, _table(head, rows))


def _uploaded(
    client: Client,
    scans: Sequence[Path],
    project: str,
    patient: str,
    by_role: Sequence[str],
    known: Sequence[str],
    title: str,
) -> Study:
    if bool(scans) == bool(by_role):
        raise UsageError("Give either SCANS, or the scan of each input by --scan ROLE=PATH.")
    paths: dict[str, list[Path]] = {"files": list(scans)} if scans else {}
    for text in by_role:
        role, path = split(text, "--scan")
        paths.setdefault(role, []).append(Path(path))
    attributes = dict(split(text, "--with") for text in known)
    named = _project(client, project)
    with _bar() as told:
        return client.upload(paths, named, patient, title=title, attributes=attributes, told=told)


def _project(client: Client, given: str) -> str:
    if _ID.fullmatch(given):
        return given
    mine = {one.name: one.id for one in client.projects()}
    if given not in mine:
        listed = ", ".join(sorted(mine)[:20]) or "none"
        raise UsageError(f"There is no project '{given}' of yours; yours are: {listed}.")
    return mine[given]


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None] | None]:
    """How much of an upload is sent, where somebody watches."""
    if not on_terminal():
        say("sending the scans")
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc="send", unit="B", unit_scale=True, file=sys.stderr, leave=False) as bar:

        def told(sent: int, length: int) -> None:
            bar.total = length
            bar.update(sent - bar.n)

        yield told


def _steps() -> Callable[[Job], None]:
    """Tell each step of a job once."""
    last = ""

    def told(job: Job) -> None:
        nonlocal last
        step = job.step or job.state
        if step != last and not job.ended:
            say(f"job {job.id}: {step}")
        last = step

    return told


def _said(found: Prediction) -> list[str]:
    if found.action == "reject":
        lines = [f"prediction {found.id}: no answer, reject"]
    else:
        lines = [f"prediction {found.id}: {found.label} ({found.confidence:.2f}), {found.action}"]
        lines += [f"  {name}: {value:.3f}" for name, value in dict(found.answer.get("probabilities") or {}).items()]
    return lines + [f"  {'rejected' if found.action == 'reject' else 'because'}: {r}" for r in _reasons(found)]


def _reasons(found: Prediction) -> Iterable[str]:
    return [str(one) for one in found.answer.get("reasons") or ()]


def _format(out: Path, form: str | None) -> str:
    """The report's form, by the file's name where none is given; asked before anything is sent."""
    found = form or _FORMATS.get(out.suffix.lower())
    if found is None:
        raise UsageError(f"'{out.name}' ends in none of {', '.join(_FORMATS)}, which say what kind of report it is.")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"There is no folder '{out.parent}' for the report; make it, or write elsewhere.")
    return found


def _series(text: str) -> tuple[str, int]:
    role, number = split(text, "--series")
    if not number.isdecimal():
        raise UsageError(f"--series '{text}' is not of the form ROLE=NUMBER.")
    return role, int(number)


def _zoned(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone()


def _sure(row: Any) -> str:
    """The confidence of an answer; a rejected scan has neither."""
    return "" if row.action == "reject" else f"{row.confidence:.2f}"


def _read(row: Any) -> str:
    if not row.reviewed:
        return "no"
    if row.disagreed is None:
        return "by another"  # what that one said is told after an own review
    return "disagreed" if row.disagreed else "yes"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows)]
    return "\n".join(line.rstrip() for line in lines)


def _plain(record: Any) -> dict[str, Any]:
    """A record as plain data for JSON."""
    found: dict[str, Any] = _json(asdict(record))
    return found


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): _json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_json(v) for v in value]
    return value
