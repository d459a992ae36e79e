"""Past cases of the same model that look alike to the network: what is kept of each prediction, and the search in it.

What is kept is the embedding as seen from the mean of the model's training embeddings, so that the search needs no
loaded model. Likeness is that of `insula.infer.similar`.
"""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from insula.bundle.types import Bundle
from insula.core.errors import ScanError
from insula.core.types import FloatArray
from insula.infer import thumbnail
from insula.infer.similar import nearest, searchable
from insula.infer.similar_cases import SAME
from insula.serve.kept import Kept
from insula.serve.models.choose import shown
from insula.serve.models.loaded import Result
from insula.serve.people.caller import Caller
from insula.serve.people.visible import visible
from insula.serve.store import predictions, schema
from insula.serve.store.errors import RecordsError
from insula.serve.store.files import Files
from insula.serve.store.predictions import StoredPrediction

FEATURES: Final = "features"  # the kind of artefact
MEDIA: Final = "application/x-npz"
MOST: Final = 500  # predictions that one search looks at, the newest
OF_PATIENT: Final = 3  # cases of the same patient that are named at most, after the others
_MOST_BYTES: Final = 1 << 24

Why = Literal["", "rejected", "not_kept"]


@dataclass(frozen=True, eq=False)
class Features:
    """offset (E,): from the mean of training to the embedding. scan, slice (from 1): the picture that stands for the
    case; "" and 0 where no pictures are kept.
    """

    offset: FloatArray
    scan: str = ""
    slice: int = 0


@dataclass(frozen=True)
class Alike:
    """One past case. likeness: from -1 to 1. same: whether the embeddings are all but equal, as of one scan sent twice.

    target: the question that `label` answers. scan, slice: as in `Features`.
    """

    prediction: str
    study_id: str
    created_at: datetime
    patient_key: str
    title: str
    same_patient: bool
    same: bool
    likeness: float
    action: str
    target: str
    label: str
    confidence: float
    scan: str
    slice: int


@dataclass(frozen=True)
class Found:
    """Other patients' cases, the most alike first, then the patient's own. searched: how many studies were looked at.

    why: that nothing could be searched for, since the scan was rejected, or since no features were kept of it.
    skipped: studies that were passed over, since what was kept of them is missing or damaged.
    """

    cases: tuple[Alike, ...]
    searched: int
    why: Why = ""
    skipped: int = 0


@dataclass(frozen=True)
class Rows:
    """What the records say of the cases to be searched. why: as in `Found`; nothing else is known then.

    own: SHA-256 of the case's features; patient: id of its patient; others: rows of the studies looked at.
    """

    why: Why
    own: str = ""
    patient: str = ""
    others: tuple[Any, ...] = ()


_kept: Final[Kept[Features]] = Kept(4 * MOST, lambda _: 1)


def of_result(result: Result, bundle: Bundle) -> Features | None:
    """What is to be kept of a case; None for a rejected one, to which nothing is alike that could tell anything."""
    if result.decision.action == "reject":
        return None
    found = result.prediction
    offset = np.asarray(found.embedding, np.float64) - bundle.baseline.embedding_mean
    picture = thumbnail.of_prediction(found, result.views, bundle.recipe)
    if picture.scan not in found.heatmaps:  # nothing to draw from is kept of this scan
        return Features(offset.astype(np.float32))
    return Features(offset.astype(np.float32), picture.scan, picture.slice + 1)


def pack(features: Features) -> bytes:
    """Features as a file: NumPy's own format without pickles."""
    stream = io.BytesIO()
    place = np.asarray([features.scan], np.str_)
    np.savez(stream, offset=features.offset, scan=place, slice=np.asarray([features.slice], np.int32))
    return stream.getvalue()


def unpack(data: bytes) -> Features:
    """The features in a file of `pack`. Raises ScanError for one that is damaged."""
    try:
        if len(data) > _MOST_BYTES:
            raise ValueError("too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return Features(found["offset"], str(found["scan"][0]), int(found["slice"][0]))
    except (OSError, EOFError, ValueError, KeyError, IndexError, zipfile.BadZipFile) as error:
        raise ScanError("The kept features of a case are damaged; predict the study again.") from error


def of_file(files: Files, sha256: str) -> Features:
    """Features out of the file store, kept in memory for the next search. Raises as `unpack` and `Files.open`."""
    return _kept.get(((sha256,), None), lambda: unpack(files.get(sha256)))


def rows(connection: Connection, caller: Caller, about: StoredPrediction) -> Rows:
    """What the records say of the cases that `find` looks at: of the same bundle and project, that the caller may see.

    Each study counts once, by its newest prediction; the study itself is left out. Searched are the newest MOST
    predictions of which features were kept.
    """
    if about.action == "reject":
        return Rows("rejected")
    own = [one for one in predictions.artefacts_of(connection, about.id) if one.kind == FEATURES]
    if not own:
        return Rows("not_kept")
    patient = connection.scalar(select(schema.studies.c.patient_id).where(schema.studies.c.id == about.study_id))
    return Rows("", own[0].sha256, str(patient), tuple(_rows(connection, caller, about)))


def find(opened: Callable[[str], Features], rows: Rows, top: int) -> Found:
    """The `top` past cases most alike to a prediction. opened: from a file's SHA-256 to what it holds.

    Cases whose features are missing or damaged are passed over and counted. Raises as `opened` for the case's own.
    """
    if rows.why or not rows.others:
        return Found((), 0, rows.why)
    own = opened(rows.own)
    found = []
    for row in rows.others:
        with contextlib.suppress(ScanError, RecordsError):
            kept = opened(row.sha256)
            if kept.offset.shape == own.offset.shape:
                found.append((row, kept))
    skipped = len(rows.others) - len(found)
    if not found:
        return Found((), 0, "", skipped)
    stacked = np.stack([kept.offset for _, kept in found])
    middle: NDArray[np.float64] = np.zeros(stacked.shape[1])
    ranked = nearest(searchable(stacked, middle), own.offset, len(found))
    cases = [
        _alike(row, kept, float(likeness), row.patient_id == rows.patient)
        for n, likeness in zip(ranked.rows.tolist(), ranked.likeness, strict=True)
        for row, kept in (found[n],)
    ]
    others, same = ([one for one in cases if one.same_patient is wanted] for wanted in (False, True))
    return Found((*others[:top], *same[:OF_PATIENT]), len(found), "", skipped)


def _rows(connection: Connection, caller: Caller, about: StoredPrediction) -> list[Any]:
    made, kept, studies, patients = schema.predictions.c, schema.artefacts.c, schema.studies.c, schema.patients.c
    columns = (made.id, made.study_id, made.created_at, made.action, made.label, made.confidence, made.answer)
    wanted = (
        select(*columns, kept.sha256, studies.title, studies.patient_id, patients.key)
        .join(schema.artefacts, kept.prediction_id == made.id)
        .join(schema.studies, studies.id == made.study_id)
        .join(schema.patients, patients.id == studies.patient_id)
        .where(
            made.project_id == about.project_id,
            visible(caller, made.project_id, made.study_id),
            made.bundle_id == about.bundle_id,
            made.study_id != about.study_id,
            kept.kind == FEATURES,
            shown(),
        )
        .order_by(made.seq.desc())
        .limit(MOST)
    )
    by_study: dict[str, Any] = {}
    for row in connection.execute(wanted):
        by_study.setdefault(row.study_id, row)
    return list(by_study.values())


def _alike(row: Any, kept: Features, likeness: float, same_patient: bool) -> Alike:
    return Alike(
        row.id,
        row.study_id,
        row.created_at,
        row.key,
        row.title,
        same_patient,
        likeness >= SAME,
        round(likeness, 6),
        row.action,
        str(row.answer.get("target", "")),
        row.label,
        row.confidence,
        kept.scan,
        kept.slice,
    )
