"""The report of a prediction as it is told to machines that take no objects: to whom it belongs, and on paper."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pydicom.dataset import Dataset

from insula.report.case.hl7 import Order
from insula.report.case.record import CaseReport, Patient
from insula.serve.pacs.gathered import Gathered, first_header, report_of
from insula.serve.pacs.reidentify import Identity
from insula.serve.service import Service

_OF_THE_STUDY: Final = {
    "patient_id": "PatientID",
    "name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
    "issuer": "IssuerOfPatientID",
    "accession": "AccessionNumber",
    "placer": "PlacerOrderNumberImagingServiceRequest",
}
_PARTED: Final = re.compile(r"[\^=\s]+")  # PS3.5 6.2.1.1


def order_of(service: Service, gathered: Gathered, identity: Identity | None) -> Order:
    """The patient and the study as the scans' headers have them; by the records' own key where none is DICOM.

    identity: of a pseudonymised study, whose true patient and study are told.
    """
    header = first_header(service, gathered)
    if header is None:
        study = gathered.facts.study
        return Order("", study.patient_key, study.patient_name)
    return order_in(header, identity)


def order_in(header: Dataset, identity: Identity | None = None) -> Order:
    """The patient and the study of one header; identity: as in `order_of`."""
    uid, true = _text(header, "StudyInstanceUID"), Dataset()
    if identity is not None:
        uid, true = identity.uid(uid), identity.of(uid)

    def told(keyword: str) -> str:
        return _text(true if keyword in true else header, keyword)

    said = {field: told(keyword) for field, keyword in _OF_THE_STUDY.items()}
    return Order(uid, taken=_taken(told, identity is None), **said)


def _taken(told: Callable[[str], str], true: bool) -> str:
    """When the study was made, else its series or the picture; "" where no header says it.

    true: whether all dates are; a pseudonymised study's own is known, and those of its series are not.
    """
    for what in ("Study", "Series", "Acquisition", "Content") if true else ("Study",):
        if day := told(f"{what}Date"):
            return day + told(f"{what}Time")
    return told("AcquisitionDateTime") if true else ""


def named_report(gathered: Gathered, order: Order) -> CaseReport:
    """The report of the patient whom the study's headers name, with the study's own date."""
    name = _PARTED.sub(" ", order.name).strip()
    found, day = report_of(gathered), order.taken[:8]
    if len(day) == 8 and day.isdecimal():
        found = replace(found, study=replace(found.study, date=f"{day[:4]}-{day[4:6]}-{day[6:]}"))
    return replace(found, patient=Patient(order.patient_id, name, order.patient_id))


def paper(report: CaseReport) -> bytes:
    """The report as a PDF. Raises UsageError where WeasyPrint is missing."""
    from insula.report.case.paper import case_pdf

    return case_pdf(report)


def _text(header: Dataset, keyword: str) -> str:
    return str(header.get(keyword, "") or "").strip()
