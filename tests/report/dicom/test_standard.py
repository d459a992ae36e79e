"""dicom-validator finds no error in any object, whatever the study's headers lack or hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from tests.report.case.made_case import referred, rejected
from tests.report.dicom.checked import errors
from tests.report.dicom.made_result import enhanced, headers, picture, result, reviewed

from insula.report.dicom.make import make
from insula.report.dicom.result import Object, Result, SourceSeries

KINDS = get_args(Object)

MISSING = (
    "PatientName PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber ReferringPhysicianName "
    "InstitutionName BodyPartExamined TimezoneOffsetFromUTC Manufacturer SliceThickness StudyDescription "
    "PatientPosition"
)
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": "12",
    "LossyImageCompressionMethod": "ISO_10918_1",
}
HEADERS: dict[str, dict[str, Any]] = {
    "as they are": {},
    "bare": dict.fromkeys(MISSING.split()),
    "identity removed": {"PatientIdentityRemoved": "YES", "PatientName": "REMOVED"},
    "of one side": {"BodyPartExamined": "KNEE", "Laterality": "R"},
    "of a part without a side said": {"BodyPartExamined": "KNEE"},
    "lossy": LOSSY,
}
PLANTED: tuple[tuple[Object, str], ...] = (
    ("report", "CompletionFlag"),
    ("capture", "ConversionType"),
    ("map", "ContentLabel"),
    ("region", "SegmentSequence"),
    ("pdf", "MIMETypeOfEncapsulatedDocument"),
)


@pytest.mark.parametrize("changes", HEADERS.values(), ids=HEADERS)
def test_no_object_breaks_the_standard(tmp_path: Path, changes: dict[str, Any]) -> None:
    series = SourceSeries("ct", headers(tmp_path, **changes), picture, (2, 3))

    found = _errors(result(tmp_path, series=(series,)))

    assert found == dict.fromkeys(KINDS, ())


def test_nor_for_a_series_in_one_file(tmp_path: Path) -> None:
    series = SourceSeries("ct", (enhanced(tmp_path),), picture, (2, 3))

    assert _errors(result(tmp_path, series=(series,))) == dict.fromkeys(KINDS, ())


def test_nor_for_a_reviewed_referral_and_a_rejection(tmp_path: Path) -> None:
    for report in (referred(), referred(review=reviewed("cannot_tell")), rejected(review=reviewed())):
        found = _errors(result(tmp_path, report=report, review_id="r1"))

        assert set(found.values()) == {()}, report.answer.action


def test_the_check_would_find_what_is_missing(tmp_path: Path) -> None:
    for kind, keyword in PLANTED:
        (made, *_) = make(result(tmp_path), (kind,))
        del made.dataset[keyword]

        assert any(f"{keyword} TagMissing" in line for line in errors(made.dataset)), kind


def _errors(given: Result) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for made in make(given, KINDS):
        found[made.kind] = (*found.get(made.kind, ()), *errors(made.dataset))
    return found
