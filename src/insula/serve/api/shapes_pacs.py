"""What the answers about other machines of the hospital hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from insula.serve.api.shapes import Asked, Given
from insula.serve.api.shapes_worklist import WorklistRow
from insula.serve.pacs.arrived import State
from insula.serve.pacs.peers import Kind

Uid = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64, examples=["1.2.840.1"])]


class PeerRow(Given):
    """A machine that the service knows. search: whether it can be asked for studies; encrypted: whether by TLS."""

    name: str
    kind: Kind
    encrypted: bool
    search: bool


class Sending(Given):
    """How far the newest sending of a model's answers is at one peer. again: it waits for another try."""

    peer: str
    model: str
    state: Literal["sent", "waiting", "running", "again", "failed"]
    at: datetime
    attempts: int
    error: dict[str, Any] | None


class ArrivedStudy(Given):
    """A study as it came in. error: `code` and `message`.

    study_id: what was made of it in the records, and case: its row of the worklist. study_date: as 20260131.
    """

    id: str
    state: State
    created_at: datetime
    last_at: datetime
    source: str
    description: str
    study_date: str
    accession_number: str
    modalities: tuple[str, ...]
    project_id: str | None
    study_id: str | None
    generation: int
    error: dict[str, Any] | None
    series: int
    instances: int
    case: WorklistRow | None
    sendings: tuple[Sending, ...]


class FoundStudy(Given):
    """A study that a peer has, as it tells of it; series and instances: null where it does not count them."""

    study_uid: str
    date: str
    time: str
    patient_id: str
    patient_name: str
    birth_date: str
    accession_number: str
    modalities: tuple[str, ...]
    description: str
    series: int | None
    instances: int | None


class FoundStudies(Given):
    """What a peer has, the newest first. more: there are others beyond the limit."""

    studies: list[FoundStudy]
    more: bool


class Pull(Asked):
    """Which study is to be fetched."""

    study_uid: Uid


class SentRow(Given):
    """A sending of a prediction. objects: how many the peer took; job: that sends or failed to, null once done."""

    peer: str
    state: Literal["sent", "waiting", "running", "failed"]
    at: datetime
    objects: int
    review_id: str | None
    job: str | None
    error: dict[str, Any] | None
