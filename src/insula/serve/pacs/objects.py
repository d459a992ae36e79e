"""The DICOM objects of a prediction: made once, kept in the file store, and the same for every peer."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from pydicom.dataset import Dataset
from sqlalchemy import Connection, select

from insula.core.types import FloatArray
from insula.infer import heatmap
from insula.report.dicom.result import Heat, Made, Object, Result, SourceSeries
from insula.serve.faults import RequestError
from insula.serve.on_plane import heat_on_plane
from insula.serve.pacs import messages, sources
from insula.serve.pacs.gathered import Gathered, gather, report_of, source_series
from insula.serve.pacs.sources import Source
from insula.serve.service import Service
from insula.serve.store import predictions, schema
from insula.serve.store.connect import reading, writing
from insula.serve.store.errors import MissingFileError
from insula.serve.store.in_use import hold_files
from insula.serve.store.patients import insert_if_new
from insula.serve.view import View

KINDS: Final[tuple[Object, ...]] = ("report", "capture", "map", "region", "pdf")
REVIEWED: Final[frozenset[Object]] = frozenset({"report", "pdf"})  # what a review makes anew
_OF_REJECTED: Final[frozenset[Object]] = frozenset({"report", "pdf"})
_CAPTURED: Final = 5  # slices with most heat that become pictures
_COARSE: Final = 8  # pixels; heat is looked for on a coarser grid than that of a slice
_MOST_BYTES: Final = 1 << 32
_WAIT_SECONDS: Final = 600.0
_turn: Final = threading.BoundedSemaphore(1)  # objects of one prediction at a time are in memory


@dataclass(frozen=True)
class Kept:
    """One object in the file store. review_id: of the review that it tells of, None for none."""

    kind: Object
    review_id: str | None
    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    sha256: str
    size: int


def objects_of(
    service: Service, prediction_id: str, kinds: Collection[Object], review_id: str | None = None
) -> tuple[Kept, ...]:
    """The objects of these kinds of a prediction, made now where they have not been made yet.

    review_id: of the review that report and PDF are to tell of. Of a rejected prediction there are report and PDF
    alone; without heat no map and no region. Raises RequestError 404 without the prediction, 409 where its scans did
    not come as DICOM or its model is gone, and 503 where another one's objects take too long.
    """
    with reading(service.records) as connection:
        stored = predictions.get(connection, prediction_id, None)
        there = _kept(connection, prediction_id, review_id)
    wanted = [kind for kind in KINDS if kind in kinds and (stored.action != "reject" or kind in _OF_REJECTED)]
    missing = [kind for kind in wanted if kind not in {one.kind for one in there}]
    if missing:
        if not _turn.acquire(timeout=_WAIT_SECONDS):
            raise RequestError(503, "busy", "The objects of another prediction take long to make; try again.")
        try:
            _make(service, prediction_id, missing, review_id)
        finally:
            _turn.release()
        with reading(service.records) as connection:
            there = _kept(connection, prediction_id, review_id)
    return tuple(one for one in there if one.kind in wanted)


def _kept(connection: Connection, prediction_id: str, review_id: str | None) -> list[Kept]:
    table = schema.pacs_objects
    rows = connection.execute(select(table).where(table.c.prediction_id == prediction_id).order_by(table.c.seq))
    return [
        Kept(**{name: getattr(row, name) for name in Kept.__dataclass_fields__})
        for row in rows
        if row.review_id == (review_id if row.kind in REVIEWED else None)
    ]


def _make(service: Service, prediction_id: str, kinds: Sequence[Object], review_id: str | None) -> None:
    from insula.report.dicom.make import make

    with reading(service.records) as connection:
        gathered = gather(connection, service, prediction_id, review_id, pictures=True)
        earlier = tuple(_earlier(connection, prediction_id, review_id))
    rows: list[dict[str, Any]] = []
    with source_series(service, gathered) as found:
        for made in make(_result(gathered, found, earlier, paper="pdf" in kinds), kinds):
            told = {"prediction_id": prediction_id, "review_id": review_id if made.kind in REVIEWED else None}
            rows.append(told | _stored(service, made))
            del made  # before the next one is made
    with writing(service.records) as connection:  # all of them, so that a kind is there whole or not at all
        hold_files(connection, alone=False)
        for row in rows:
            if not service.files.has(row["sha256"]):
                raise MissingFileError(
                    f"The file {row['sha256'][:12]}… was removed before it was named; make it again."
                )
            insert_if_new(connection, schema.pacs_objects, id=schema.new_id(), **row)


def _stored(service: Service, made: Made) -> dict[str, Any]:
    """Store an object; its row."""
    found = made.dataset
    with tempfile.TemporaryFile() as stream:
        found.save_as(stream, enforce_file_format=True)
        stream.seek(0)
        stored = service.files.put(stream, _MOST_BYTES)
    return {
        "kind": made.kind,
        "study_uid": str(found.StudyInstanceUID),
        "series_uid": str(found.SeriesInstanceUID),
        "sop_instance_uid": str(found.SOPInstanceUID),
        "sop_class_uid": str(found.SOPClassUID),
        "modality": str(found.Modality),
        "sha256": stored.sha256,
        "size": stored.size,
    }


def _earlier(connection: Connection, prediction_id: str, review_id: str | None) -> Iterator[Dataset]:
    """The reports of the same prediction that were made before this one."""
    table = schema.pacs_objects
    these = (table.c.prediction_id == prediction_id, table.c.kind == "report")
    for row in connection.execute(select(table).where(*these).order_by(table.c.seq)):
        if row.review_id != review_id:
            one = Dataset()
            one.StudyInstanceUID, one.SeriesInstanceUID = row.study_uid, row.series_uid
            one.SOPClassUID, one.SOPInstanceUID = row.sop_class_uid, row.sop_instance_uid
            yield one


def _result(gathered: Gathered, found: Sequence[Source], earlier: tuple[Dataset, ...], paper: bool) -> Result:
    facts, report = gathered.facts, report_of(gathered)
    pdf = messages.paper(messages.named_report(gathered, messages.order_in(found[0].headers[0]))) if paper else None
    finding = heatmap.class_of(facts.recipe.target, facts.prediction.label)
    heat, series = [], []
    for one in found:
        seen = None if gathered.rejected else facts.views.get(one.scan)
        if seen is None or finding not in seen.classes:
            series.append(SourceSeries(one.scan, one.headers))
            continue
        k = seen.classes.index(finding)
        top, present = heatmap.class_scale(seen.map, k), finding == facts.prediction.label
        said = facts.recipe.target.say(finding)
        heat.append(Heat(one.scan, said, partial(_plane, one, seen, k), top, present))
        series.append(SourceSeries(one.scan, one.headers, partial(_picture, one), _hottest(one, seen, k)))
    review = gathered.review_id or ""
    return Result(facts.prediction.id, report, tuple(series), tuple(heat), pdf, review, earlier)


def _plane(source: Source, seen: View, k: int, number: int) -> FloatArray:
    plane = source.planes[number]
    return heat_on_plane(seen, k, plane.affine, plane.size)


def _picture(source: Source, number: int) -> Any:
    return sources.picture(source.planes[number])


def _hottest(source: Source, seen: View, k: int) -> tuple[int, ...]:
    """The slices with the strongest heat, in their order; none where there is none to be seen."""
    strongest = np.zeros(len(source.planes), np.float32)
    for number, plane in enumerate(source.planes):
        rows, columns = (max(1, side // _COARSE) for side in plane.size)
        coarse = plane.affine.copy()
        middle = np.array([(_COARSE - 1) / 2, (_COARSE - 1) / 2, 0.0, 1.0])
        coarse[:3, 3] = (plane.affine @ middle)[:3]
        coarse[:3, :2] *= _COARSE
        strongest[number] = heat_on_plane(seen, k, coarse, (rows, columns)).max(initial=0.0)
    order = np.argsort(-strongest, kind="stable")[:_CAPTURED]
    least = heatmap.SEEN * strongest.max(initial=0.0)
    return tuple(sorted(int(number) for number in order if strongest[number] >= least > 0))
