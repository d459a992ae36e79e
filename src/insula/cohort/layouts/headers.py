"""DICOM as it leaves a scanner or an archive: patient and series from the headers, labels from a table if any."""

from __future__ import annotations

from insula.cohort import labels
from insula.cohort.found import Aside
from insula.cohort.grouping import Member
from insula.cohort.layouts.labelled import Rows
from insula.cohort.layouts.request import Laid, Request
from insula.core.errors import CohortError


def fits(request: Request) -> str:
    """Why this layout is the folder's, or "" where no DICOM header names a patient."""
    named = sum(f.header is not None and "patient_id" in f.header.attributes for f in request.found)
    return f"{named} DICOM file(s) name their patient in the header" if named else ""


def lay(request: Request) -> Laid:
    """One member for each DICOM file; its patient is the PatientID, or what the patient pattern finds in its path.

    Labels come from the rows of the table that name its SeriesInstanceUID, StudyInstanceUID or PatientID; without a
    row, or without a table, a file stays unlabelled. Raises CohortError where no file names a patient.
    """
    rows = (
        Rows(labels.read(request.table, request.recipe.target, request.root, request.column)) if request.table else None
    )
    members: list[Member] = []
    for item in request.found:
        if item.header is None:
            request.aside.append(Aside(item.path, "no DICOM file, and the patients are taken from DICOM headers"))
            continue
        patient = request.patient_of(item.path) if request.pattern else item.header.attributes.get("patient_id")
        if not patient:
            what = "the patient pattern does not match its path" if request.pattern else "no PatientID in its header"
            request.aside.append(Aside(item.path, what))
            continue
        row = rows.of(item, request) if rows is not None else None
        if row is None:
            members.append(Member(item, patient, None))
        else:
            members.append(Member(item, patient, row.labels, "", row.mask, row.attributes, row.number))
    if not members:
        raise CohortError(
            f"No DICOM file of '{request.root.name}' names its patient (PatientID); give --patient-pattern, or lay the "
            "files out as CLASS/patient/files."
        )
    return Laid(members, rows.unused(members) if rows is not None else 0)
