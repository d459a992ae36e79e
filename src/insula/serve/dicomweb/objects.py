"""What was made of predictions, as a caller may see it: the one place that asks whether he may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from insula.serve.dicomweb.media import element
from insula.serve.faults import RequestError
from insula.serve.kept import Kept
from insula.serve.models.choose import SHADOW
from insula.serve.pacs.silent import silent
from insula.serve.people.caller import Caller
from insula.serve.people.visible import visible
from insula.serve.service import Service
from insula.serve.store import reviews, schema

MOST_SCANNED: Final = 5000  # objects that one search looks through
_HEADERS: Final[Kept[dict[str, Any]]] = Kept(8 << 20, lambda one: len(json.dumps(one)))
_LONGEST_TEXT: Final = 1 << 10  # of one value that is shown in a search
_BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})


@dataclass(frozen=True)
class Object:
    """One DICOM object that the service made."""

    id: str
    prediction_id: str
    review_id: str | None
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    sha256: str
    size: int


def find(
    connection: Connection, caller: Caller, study: str = "", series: str = "", instance: str = ""
) -> tuple[list[Object], bool]:
    """The objects of a study, a series or one instance that a caller may see, the newest first.

    An object that tells of a review is kept from a reader who is yet to answer. Also says whether there are more than
    MOST_SCANNED, which are left out.
    """
    made, answers = schema.pacs_objects, schema.predictions
    where: list[ColumnElement[bool]] = [
        visible(caller, answers.c.project_id, answers.c.study_id),
        answers.c.arm != SHADOW,
    ]
    asked = ((made.c.study_uid, study), (made.c.series_uid, series), (made.c.sop_instance_uid, instance))
    where += [column == value for column, value in asked if value]
    wanted = select(*(made.c[name] for name in Object.__dataclass_fields__)).where(*where)
    joined = wanted.join(answers, made.c.prediction_id == answers.c.id).order_by(made.c.seq.desc())
    rows = [Object(*row) for row in connection.execute(joined.limit(MOST_SCANNED + 1))]
    told = {row.prediction_id for row in rows if row.review_id}
    hidden = reviews.withheld(connection, sorted(told), caller.reader_id)
    shown = [row for row in rows[:MOST_SCANNED] if not (row.review_id and row.prediction_id in hidden)]
    return shown, len(rows) > MOST_SCANNED


def must_find(connection: Connection, caller: Caller, study: str, series: str = "", instance: str = "") -> list[Object]:
    """As `find`. Raises RequestError 404 where there is nothing to be seen."""
    found, more = find(connection, caller, study, series, instance)
    if not found:
        raise RequestError(
            404, "not_found", "Nothing that you may see was made of a study, series or object of this UID."
        )
    if more:
        raise RequestError(413, "too_many", f"More than {MOST_SCANNED} objects were made of this study; ask by series.")
    return found


def headers(service: Service, one: Object) -> Mapping[str, Any]:
    """An object's attributes in the DICOM JSON model, without pixels and long values."""
    return _HEADERS.get(((one.sha256,), None), lambda: _read(service, one))


def metadata(service: Service, one: Object) -> dict[str, Any]:
    """All of an object's attributes in the DICOM JSON model, but for pixels, documents and other binary values."""
    return _read(service, one, longest=None)


def _read(service: Service, one: Object, longest: int | None = _LONGEST_TEXT) -> dict[str, Any]:
    import pydicom

    with service.files.open(one.sha256) as stream, silent():
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)  # pixels of a map are a hundred times as long
        found: dict[str, Any] = {"00083002": element("UI", str(dataset.file_meta.TransferSyntaxUID))}
        for part in dataset:
            if part.VR in _BULK or (longest is not None and part.VR == "SQ"):
                continue
            told = part.to_json_dict(None, 1 << 30)
            if longest is None or len(json.dumps(told)) <= longest:
                found[f"{part.tag:08X}"] = told
    return found
