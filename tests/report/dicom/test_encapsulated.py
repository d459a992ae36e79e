"""The PDF stays what it was, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from tests.report.case.made_case import case
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import headers, made_of, result, reviewed

from insula.core.errors import UsageError


def packed(folder: Path, **changes: Any) -> FileDataset:
    (made,) = made_of(result(folder, **changes), "pdf")
    return read_back(made.dataset)


@pytest.mark.parametrize("pdf", [b"%PDF-1.7 even", b"%PDF-1.7 odd!!"])
def test_it_reads_back_equal(tmp_path: Path, pdf: bytes) -> None:
    one = packed(tmp_path, pdf=pdf)

    assert one.EncapsulatedDocument[: one.EncapsulatedDocumentLength] == pdf
    assert one.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert one.DocumentTitle == "haemorrhage-ct: case report (research use only)"


def test_it_tells_of_all_slices_and_shows_who_it_is_about(tmp_path: Path) -> None:
    one = packed(tmp_path)

    assert [x.ReferencedSOPInstanceUID for x in one.SourceInstanceSequence] == [
        x.SOPInstanceUID for x in headers(tmp_path)
    ]
    assert one.BurnedInAnnotation == "YES"


@pytest.mark.parametrize(("verdict", "flag"), [("agree", "VERIFIED"), ("cannot_tell", "UNVERIFIED")])
def test_it_is_verified_as_the_report_is(tmp_path: Path, verdict: str, flag: str) -> None:
    assert packed(tmp_path, report=case(review=reviewed(verdict))).VerificationFlag == flag


def test_what_is_no_pdf_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not start"):
        made_of(result(tmp_path, pdf=b"<html>"), "pdf")
