"""Files anywhere, beside a table that says which patient, study, series or path has which label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from insula.cohort import labels
from insula.cohort.found import Aside, Found
from insula.cohort.grouping import Member
from insula.cohort.labels import Row
from insula.cohort.layouts import masks
from insula.cohort.layouts.request import Laid, Request, stem
from insula.core.errors import CohortError


def fits(request: Request) -> str:
    """Why this layout is the folder's, or "" without a table of labels."""
    return f"there is a table of labels, {request.table.name}" if request.table is not None else ""


def lay(request: Request) -> Laid:
    """The row of each file: by its path or that of a folder above it, its SeriesInstanceUID, its StudyInstanceUID, the
    patient pattern, its PatientID, or a folder or file that bears the patient's id as its name, in this order.

    Files without a row go to `aside`. Raises CohortError without a table and as `labels.read`.
    """
    if request.table is None:
        raise CohortError(f"'{request.root.name}' holds no {labels.NAME}; give the table of labels with --labels FILE.")
    rows = Rows(labels.read(request.table, request.recipe.target, request.root, request.column))
    found = [f for f in request.found if f.path not in rows.masks]
    found = masks.with_suffix(found, request.suffix, request.aside)
    found, mask_of = masks.set_apart(found, request.aside, rows.scans)
    members: list[Member] = []
    for item in found:
        row = rows.of(item, request)
        if row is None:
            request.aside.append(Aside(item.path, f"no row of {request.table.name} is about it"))
            continue
        patient = row.patient or (item.header.attributes.get("patient_id", "") if item.header is not None else "")
        if not patient:
            request.aside.append(Aside(item.path, "neither its row nor its header names a patient"))
            continue
        mask = row.mask or (mask_of.get(item.path, "") if item.kind == "nifti" else "")
        members.append(Member(item, patient, row.labels, "", mask, row.attributes, row.number))
    return Laid(members, rows.unused(members))


class Rows:
    """The rows of a table, to be asked for the one that a file belongs to."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.masks = {row.mask for row in rows if row.mask}
        self._used: set[int] = set()
        self._scan = {row.scan: row for row in rows if row.scan}
        self._series: dict[str, Row] = {}
        self._study: dict[str, Row] = {}
        self._patient: dict[str, Row] = {}
        for row in rows:
            if row.scan:
                continue
            if row.series:
                self._series.setdefault(row.series, row)
            elif row.study:
                self._study.setdefault(row.study, row)
            else:
                self._patient.setdefault(row.patient, row)

    @property
    def scans(self) -> frozenset[str]:
        """The paths that the table itself names as scans."""
        return frozenset(self._scan)

    def of(self, item: Found, request: Request) -> Row | None:
        """The row of one file, or None."""
        row = _by_path(item.path, self._scan)
        if row is None and item.header is not None:
            row = self._series.get(item.header.series_uid) if item.header.series_uid else None
            study = item.header.attributes.get("study_uid", "")
            row = row or (self._study.get(study) if study else None)
        row = row or self._by_patient(item, request)
        if row is not None:
            self._used.add(row.number)
        return row

    def unused(self, members: Sequence[Member]) -> int:
        """How many rows no file asked for, rows of patients with other scans aside."""
        patients = {m.patient for m in members}
        return sum(r.number not in self._used and (not r.patient or r.patient not in patients) for r in self.rows)

    def _by_patient(self, item: Found, request: Request) -> Row | None:
        if request.pattern is not None:
            return self._patient.get(request.patient_of(item.path) or "")
        if item.header is not None and (row := self._patient.get(item.header.attributes.get("patient_id", ""))):
            return row
        *folders, name = item.path.split("/")
        for part in (name, stem(name), *reversed(folders)):
            if row := self._patient.get(part):
                return row
        return None


def _by_path(path: str, rows: Mapping[str, Row]) -> Row | None:
    parts = path.split("/")
    for length in range(len(parts), 0, -1):
        row = rows.get("/".join(parts[:length]))
        if row is not None:
            return row
    return rows.get(".")
