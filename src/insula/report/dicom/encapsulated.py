"""The case report on paper as Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from highdicom.base import SOPClass
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from insula.core.errors import UsageError
from insula.report.dicom import codes, common, header, text
from insula.report.dicom.result import Result

SERIES: Final = common.Series("pdf")


def encapsulated(result: Result, pdf: bytes, sources: Sequence[header.Source]) -> FileDataset:
    """The PDF as an object of the study of the first series. sources: all series that it tells of.

    Raises UsageError for bytes that are no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise UsageError("What is to be sent as PDF does not start as one; make it with `case_pdf`.")
    made = SOPClass(
        study_instance_uid=sources[0].first.StudyInstanceUID,
        sop_class_uid=EncapsulatedPDFStorage,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **common.named(result, SERIES, "case report"),
    )
    made.ConversionType = "WSD"
    made.AcquisitionDateTime = None
    made.BurnedInAnnotation = "YES"  # the report names the patient
    made.DocumentTitle = text.described(result.report.model.name, "case report")
    made.ConceptNameCodeSequence = [codes.item(codes.STUDY_REPORT)]
    made.SourceInstanceSequence = [_reference(one) for source in sources for one in source.headers]
    made.VerificationFlag = "VERIFIED" if common.verified(result.report) else "UNVERIFIED"
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    made.EncapsulatedDocumentLength = len(pdf)
    return common.finished(made, result, sources[0], own_terms=False)


def _reference(one: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
    return item
