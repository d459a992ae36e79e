"""What objects and messages of a prediction are made of, out of the records: its facts, its report, its scans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset
from sqlalchemy import Connection

from insula.core import scratch
from insula.report.case.record import CaseReport, Summary
from insula.scans.read import sniff
from insula.serve import case, laid
from insula.serve.case import CaseFacts
from insula.serve.faults import RequestError
from insula.serve.fetched import Fetched, fetched
from insula.serve.narrative import summary
from insula.serve.pacs import sources
from insula.serve.pacs.sources import Source
from insula.serve.scans_of import by_scan, scans_of
from insula.serve.service import Service
from insula.serve.store import predictions, reviews, studies
from insula.serve.store.studies import StudyFile


@dataclass(frozen=True)
class Gathered:
    """All rows that tell of a prediction. files: those that it was made from. scans: their ids by scan, as its heat is
    named. review_id: of the one review that its report tells of, None for none.

    Of an answer of an earlier version scans are not known: files are those that the study had then, and asked are the
    numbers of series by role that the request named.
    """

    facts: CaseFacts
    files: tuple[StudyFile, ...]
    scans: Mapping[str, tuple[str, ...]]
    asked: Mapping[str, int]
    review_id: str | None

    @property
    def rejected(self) -> bool:
        """Whether there is no answer."""
        return self.facts.prediction.action == "reject"


def gather(
    connection: Connection, service: Service, prediction_id: str, review_id: str | None, pictures: bool
) -> Gathered:
    """Look everything up; pictures: whether maps are wanted, too. Raises RequestError as `case.facts_of`."""
    stored = predictions.get(connection, prediction_id, None)
    facts = case.facts_of(connection, service, stored, pictures)
    here = studies.files_of(connection, stored.study_id)
    scans = predictions.sources_of(connection, prediction_id)
    if not scans:
        before = [one for one in here if one.created_at <= stored.created_at]
        return Gathered(facts, tuple(before), {}, laid.told(connection, stored).series, review_id)
    by_id = {one.id: one for one in here}
    used = [by_id[name] for names in scans.values() for name in names if name in by_id]
    return Gathered(facts, tuple(dict.fromkeys(used)), scans, {}, review_id)


def newest(connection: Connection, study_id: str, review_id: str | None) -> str | None:
    """The review that took the place of one, or that one itself. Raises RequestError 404 where it is not of the study.

    A review is never deleted, so that whoever was told of the earlier one is told of the later.
    """
    found = {one.id: one for one in reviews.history(connection, study_id)} if review_id else {}
    while review_id is not None:
        if review_id not in found:
            raise RequestError(404, "not_found", "There is no such review of this study; look it up in the list.")
        if found[review_id].replaced_by is None:
            return review_id
        review_id = found[review_id].replaced_by
    return None


def report_of(gathered: Gathered) -> CaseReport:
    """The report as objects and messages tell it: alike whenever it is made, with that one review or none."""
    told = None
    facts = gathered.facts
    if not gathered.rejected:
        words = summary.summarise(case.record(facts), "en", None)
        told = Summary(words.text, words.source)
    this = tuple(one for one in facts.reviews if one.id == gathered.review_id)
    found = case.report(replace(facts, reviews=this), "en", told)
    return replace(found, made_at=this[0].created_at if this else facts.prediction.created_at)


@contextmanager
def source_series(service: Service, gathered: Gathered) -> Iterator[tuple[Source, ...]]:
    """The series that a prediction was made from, as files of a folder for as long as the block runs.

    Raises RequestError 409 where none came as DICOM.
    """
    with scratch.folder() as name:
        here = fetched(service.files, gathered.files, Path(name))
        every = sources.sources(_by_scan(gathered, here)) if here.rows else ()
        found = tuple(one for one in every if one.study_uid)
        if not found:
            raise RequestError(
                409,
                "no_dicom",
                "The scans of this prediction did not come as DICOM, or are erased: there is no study that objects "
                "could be put into.",
            )
        yield found


def first_header(service: Service, gathered: Gathered) -> Dataset | None:
    """A header of the series that the prediction was made from, None where none of their files is DICOM."""
    with scratch.folder() as name:
        for number, one in enumerate(gathered.files):
            path = Path(name, f"{number:05d}")
            service.files.fetch(one.sha256, path)
            if sniff(path) == "dicom":
                return sources.bare(path)
            path.unlink()
    return None


def _by_scan(gathered: Gathered, here: Fetched) -> dict[str, list[Path]]:
    """The files by scan, as the prediction's heat is named. Raises as `scans_of`."""
    if not gathered.scans:
        return by_scan(scans_of(here.by_role, gathered.facts.recipe, gathered.asked))
    paths = {row.id: path for path, row in here.rows.items()}
    return {scan: [paths[name] for name in names if name in paths] for scan, names in gathered.scans.items()}
