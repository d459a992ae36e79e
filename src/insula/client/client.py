"""The client: each method is one thing that the service does."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from insula.client import answers
from insula.client.address import address_of, key_of
from insula.client.answers import Answer, Health, HistoryRow, Job, ModelInfo, Prediction, Project, Review, Study
from insula.client.errors import JobFailedError, RemoteError, UnfinishedError
from insula.client.form import Form, Told, files_of
from insula.client.reading import read
from insula.core.errors import MissingPartError, UsageError

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
Paths = Path | str | Sequence[Path | str]
Params = Mapping[str, str | int | float | bool]
API: Final = "/api/v1"
_ROWS: Final = 200  # of one page
_PREFER: Final = 10.0  # seconds that one request waits for a prediction at the service
_AT_WORK: Final = 240.0  # seconds of silence, beside the time-out, while the service reads or predicts what it was sent
_FIRST_LOOK, _MOST_LOOK = 0.25, 5.0  # seconds between two looks at a job
_NAME: Final = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")


class Client:
    """A service of Insula at an address.

    address: INSULA_REMOTE where none is given. key: an API key, INSULA_REMOTE_KEY where none is given; it is never
    shown. insecure: plain http to another machine is allowed. timeout: seconds of silence after which a request is
    given up, 240 more while the service reads or predicts what it was sent. tries: of one request. Requests are sent
    again on 429 and 503, after the time that the service asks for (60 s at most), and after a lost connection where
    twice is as good as once: everything but `predict` and `ask`. Redirects are not followed; certificates are
    checked.

    Raises UsageError for an address or key that is none, MissingPartError without httpx. Every method raises
    RemoteError for what the service refuses, and UnreachableError where no answer comes; one that sends files raises
    ScanError for a path that is not there and a file that changes meanwhile.
    """

    def __init__(
        self,
        address: str = "",
        key: str | None = None,
        *,
        insecure: bool = False,
        timeout: float = 60.0,
        tries: int = 4,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if find_spec("httpx") is None:
            raise MissingPartError("The client needs httpx, which is missing; run: pip install 'insula[client]'.")
        from insula.client.wire import Request, Wire

        self.address = address_of(address, insecure)
        self._wire = Wire(self.address, key_of(key), timeout, tries, sleep, transport)
        self._request = Request
        self._sleep, self._clock = sleep, clock

    def __repr__(self) -> str:
        return f"Client({self.address!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # The plain endpoints

    def health(self) -> Health:
        """Whether the service is up and has a model; needs no key."""
        return self._get(Health, "/health")

    def model_info(self) -> ModelInfo:
        """The model of the plain endpoint."""
        return self._get(ModelInfo, "/model_info")

    def predict(self, path: Path | str, uncertainty: bool = False) -> Answer:
        """Predict one scan, a file or a folder of one series; nothing of it is kept at the service."""
        form = Form({"uncertainty": _flag(uncertainty)}, [("file", one) for one in files_of(path)])
        sent = self._request("POST", "/predict", again=False, form=form, seconds=_AT_WORK)
        return read(Answer, _body(self._wire.send(sent)))

    # Projects, models, studies

    def projects(self) -> Iterator[Project]:
        """Your projects."""
        return self._pages(Project, "/projects")

    def models(self) -> tuple[answers.Model, ...]:
        """All models of the service."""
        return self._list(answers.Model, "/models")

    def upload(
        self,
        paths: Paths | Mapping[str, Paths],
        project: str,
        patient: str,
        *,
        patient_name: str = "",
        title: str = "",
        note: str = "",
        attributes: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        told: Told | None = None,
    ) -> Study:
        """Make a study of files and folders, read from disk while they are sent.

        paths: a scan's files; or the model's input → its files, as {"ct": …, "mri": …}. project: its id. patient: the
        patient's key within the project. attributes: clinical columns. idempotency_key: makes a second sending give
        the first one's study; one of its own by default, so that a lost connection makes no second study. told: called
        with the bytes sent and those in all.
        """
        by_role = paths if isinstance(paths, Mapping) else {"files": paths}
        files = [(role, one) for role, some in by_role.items() for one in files_of(some)]
        given = {"project": project, "patient": patient, "patient_name": patient_name, "title": title, "note": note}
        if attributes:
            given["attributes"] = json.dumps(dict(attributes), ensure_ascii=False)
        form = Form({name: text for name, text in given.items() if text}, files, told)
        headers = _once(idempotency_key)
        sent = self._request("POST", f"{API}/studies", again=True, form=form, headers=headers, seconds=_AT_WORK)
        return read(Study, _body(self._wire.send(sent)))

    def study(self, study: Study | str) -> Study:
        """A study with its files."""
        return self._get(Study, f"{API}/studies/{_id(study)}")

    # Predictions

    def predict_study(
        self,
        study: Study | str,
        *,
        wait: float = 600.0,
        model: str | None = None,
        series: Mapping[str, int] | None = None,
        attributes: Mapping[str, str] | None = None,
        uncertainty: bool = False,
        idempotency_key: str | None = None,
        told: Callable[[Job], None] | None = None,
    ) -> Prediction:
        """Predict a study, and wait for it.

        wait: seconds at most. model: a recipe's name or a bundle's id, where several are in charge. series: input → the
        number of the series to take. told: called with the job whenever it was looked at. Raises JobFailedError with
        the reason, and UnfinishedError, whose job can be followed by `follow`, when the time is over.
        """
        until = self._clock() + wait
        prefer = int(max(0.0, min(wait, _PREFER)))
        body = {"series": dict(series or {}), "attributes": dict(attributes or {}), "uncertainty": uncertainty}
        if model is not None:
            body["model"] = model
        headers = {"Prefer": f"wait={prefer}", **_once(idempotency_key)}
        where = f"{API}/studies/{_id(study)}/predictions"
        sent = self._request("POST", where, again=True, json=body, headers=headers, seconds=prefer)
        answer = self._wire.send(sent)
        if answer.status_code == 201:
            return read(Prediction, _body(answer))
        return self._of_job(self._until_ended(read(Job, _body(answer)), until, wait, told))

    def job(self, job: Job | str) -> Job:
        """A job as it is now."""
        return self._get(Job, f"{API}/jobs/{_id(job)}")

    def follow(self, job: Job | str, *, wait: float = 600.0, told: Callable[[Job], None] | None = None) -> Prediction:
        """The prediction of a job, once it has ended; as `predict_study`."""
        return self._of_job(self._until_ended(self.job(job), self._clock() + wait, wait, told))

    def prediction(self, prediction: Prediction | str) -> Prediction:
        """One prediction."""
        return self._get(Prediction, f"{API}/predictions/{_id(prediction)}")

    def history(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        action: str | None = None,
        label: str | None = None,
        model: str | None = None,
        reviewer: str | None = None,
        disagreed: bool | None = None,
        patient: str | None = None,
        reviewed: bool | None = None,
    ) -> Iterator[HistoryRow]:
        """Predictions, the newest first; page by page, as they are asked for.

        since, until: instants with a time zone. action: accept, refer or reject. model: a bundle's id. patient: a part
        of the patient's key.
        """
        flags = {"disagreed": disagreed, "reviewed": reviewed}
        asked = {"since": _instant(since), "until": _instant(until), "action": action, "label": label}
        asked |= {"model": model, "reviewer": reviewer, "patient": patient}
        asked |= {name: _flag(one) for name, one in flags.items() if one is not None}
        return self._pages(HistoryRow, "/predictions", {k: v for k, v in asked.items() if v is not None})

    def report(self, prediction: Prediction | str, format: str = "pdf", language: str = "en") -> bytes:  # noqa: A002
        """The report of a prediction: pdf, html, json, or fhir (a DiagnosticReport)."""
        return self._bytes(prediction, "/report", {"format": format, "language": language})

    def summary(self, prediction: Prediction | str, language: str = "en") -> answers.Summary:
        """The case in a few sentences."""
        return self._get(answers.Summary, f"{API}/predictions/{_id(prediction)}/summary", {"language": language})

    def ask(self, prediction: Prediction | str, question: str, language: str = "en") -> answers.Quotes:
        """A question about the case, answered by quoting its record."""
        where, body = f"{API}/predictions/{_id(prediction)}/questions", {"question": question, "language": language}
        return read(answers.Quotes, _body(self._wire.send(self._request("POST", where, again=False, json=body))))

    # Pictures

    def scans(self, prediction: Prediction | str) -> tuple[answers.Scan, ...]:
        """The scans of a prediction that pictures can be had of; a rejected one has none."""
        return self._list(answers.Scan, f"/predictions/{_id(prediction)}/scans")

    def slice_png(
        self, prediction: Prediction | str, scan: str, number: int, class_name: str = "", opacity: float = 0.7
    ) -> bytes:
        """A slice, counted from 1, as PNG; with the heat of a class over it where one is named."""
        params: dict[str, str | int | float | bool] = {"class": class_name, "opacity": opacity}
        return self._bytes(prediction, f"/scans/{_id(scan)}/slices/{int(number)}", params)

    def heat(self, prediction: Prediction | str, scan: str, class_name: str) -> bytes:
        """The heat of a class as gzipped NIfTI, on the grid of `scan_nifti`."""
        return self._bytes(prediction, f"/scans/{_id(scan)}/heat.nii.gz", {"class": class_name})

    def scan_nifti(self, prediction: Prediction | str, scan: str) -> bytes:
        """The slices as the network saw them, as gzipped NIfTI."""
        return self._bytes(prediction, f"/scans/{_id(scan)}/scan.nii.gz", {})

    # Reviews and the trail

    def review(
        self,
        study: Study | str,
        target: str,
        verdict: str,
        signature: str,
        *,
        prediction: Prediction | str | None = None,
        label: str | None = None,
        comment: str = "",
        idempotency_key: str | None = None,
    ) -> Review:
        """Say what you read: agree, override (with your own label) or cannot_tell; without a prediction, from scratch.

        target: the question by its name in the recipe. signature: your name, typed.
        """
        body: dict[str, Any] = {"target": target, "verdict": verdict, "signature": signature, "comment": comment}
        body |= {"prediction": None if prediction is None else _id(prediction), "label": label}
        where, headers = f"{API}/studies/{_id(study)}/reviews", _once(idempotency_key)
        return read(
            Review, _body(self._wire.send(self._request("POST", where, again=True, json=body, headers=headers)))
        )

    def reviews(self, study: Study | str) -> tuple[Review, ...]:
        """The reviews of a study that you may see."""
        return self._list(Review, f"/studies/{_id(study)}/reviews")

    def queue(self, second: bool = False) -> Iterator[answers.Waiting]:
        """What waits to be read, the most uncertain first; second: what one other reader has answered."""
        return self._pages(answers.Waiting, "/queue", {"second": _flag(second)})

    def trail_export(
        self,
        format: str = "jsonl",  # noqa: A002
        *,
        actor: str = "",
        action: str = "",
        subject: str = "",
        outcome: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[bytes]:
        """Entries of the trail, the oldest first, as JSON lines or csv, in blocks as they come."""
        asked = {"format": format, "actor": actor, "action": action, "subject": subject, "outcome": outcome}
        asked |= {"since": _instant(since) or "", "until": _instant(until) or ""}
        params = {name: text for name, text in asked.items() if text}
        with self._wire.stream(self._request("GET", f"{API}/trail/export", True, params), whole=False) as answer:
            yield from answer.iter_bytes()

    # How

    def _get(self, kind: type[T], path: str, params: Params | None = None) -> T:
        return read(kind, _body(self._wire.send(self._request("GET", path, True, params))))

    def _list(self, kind: type[T], path: str) -> tuple[T, ...]:
        found = _body(self._wire.send(self._request("GET", f"{API}{path}", again=True)))
        if not isinstance(found, list):
            raise _no_service()
        return tuple(read(kind, one) for one in found)

    def _bytes(self, prediction: Prediction | str, path: str, params: Params) -> bytes:
        where = f"{API}/predictions/{_id(prediction)}{path}"
        return self._wire.send(self._request("GET", where, True, params)).content

    def _pages(self, kind: type[T], path: str, params: Params | None = None) -> Iterator[T]:
        after: str | None = ""
        while after is not None:
            asked = {**(params or {}), "limit": _ROWS, **({"after": after} if after else {})}
            found = _body(self._wire.send(self._request("GET", f"{API}{path}", True, asked)))
            if not isinstance(found, dict) or not isinstance(found.get("items"), list):
                raise _no_service()
            yield from (read(kind, one) for one in found["items"])
            after = found.get("next")

    def _until_ended(self, job: Job, until: float, wait: float, told: Callable[[Job], None] | None) -> Job:
        pause = _FIRST_LOOK
        while True:
            if told is not None:
                told(job)
            if job.ended:
                return job
            left = until - self._clock()
            if left <= 0:
                raise UnfinishedError(job, wait)
            self._sleep(min(pause, left))
            pause = min(2 * pause, _MOST_LOOK)
            job = self.job(job)

    def _of_job(self, job: Job) -> Prediction:
        if job.state != "done":
            raise JobFailedError(job)
        made = (job.result or {}).get("prediction")
        if not isinstance(made, str):
            raise UsageError(f"The job {job.id} is a '{job.kind}' and made no prediction; follow one that predicts.")
        return self.prediction(made)


def _id(of: Study | Job | Prediction | str) -> str:
    """The id of a record, fit to stand in an address."""
    text = of if isinstance(of, str) else of.id
    if not _NAME.fullmatch(text):
        raise UsageError(f"'{text[:60]}' is no id; take it from an answer of the service, as it is.")
    return text


def _once(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid.uuid4().hex}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _instant(moment: datetime | None) -> str | None:
    if moment is not None and moment.tzinfo is None:
        raise UsageError(f"The instant {moment.isoformat()} has no time zone; give one, as datetime.UTC.")
    return None if moment is None else moment.isoformat()


def _body(answer: httpx.Response) -> object:
    try:
        found: object = answer.json()
    except ValueError as error:
        raise _no_service() from error
    return found


def _no_service() -> RemoteError:
    said = "What answers here does not speak as the service does; is the address that of an Insula service?"
    return RemoteError(200, "bad_answer", said, said)
