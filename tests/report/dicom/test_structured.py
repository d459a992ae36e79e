"""The report says what the record says, and of a rejected case nothing that could be read as an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from tests.report.case.made_case import SIX, case, referred, rejected
from tests.report.dicom.checked import read_back
from tests.report.dicom.made_result import enhanced, headers, made_of, picture, result, reviewed
from tests.report.dicom.tree import group, items, said, value

from insula.report.case.record import CaseReport, ClassRow, ScanFacts, Study
from insula.report.dicom.result import SourceSeries

PROBABILITY = "Probability"


def report(folder: Path, of: CaseReport | None = None, **changes: Any) -> FileDataset:
    given = result(folder, **({} if of is None else {"report": of}), **changes)
    (made,) = made_of(given, "report")
    return read_back(made.dataset)


def test_each_class_stands_with_the_numbers_of_the_record(tmp_path: Path) -> None:
    found = report(tmp_path)

    for row in SIX:
        one = group(found, f"Class {row.name}")
        assert [value(x) for x in items(one, "Class of the model")] == [row.name]
        (number,) = items(one, PROBABILITY)  # the spread is no second probability
        assert value(number) == row.probability
        assert [value(x) for x in items(number, "Standard Deviation")] == [row.spread]
        assert [value(x) for x in items(one, "Threshold from which a class counts as present")] == [row.threshold]
        assert [value(x) for x in items(one, "In the prediction set")] == ["Yes" if row.in_set else "No"]
        assert not items(one, "Finding")  # an improbable class is none


def test_the_answer_stands_with_its_decision_and_the_slices_that_show_it(tmp_path: Path) -> None:
    found = report(tmp_path)
    one = group(found, "Answer")

    assert {name: value(items(one, name)[0]) for name in ("Finding", "Decision of the policy")} == {
        "Finding": "any",
        "Decision of the policy": "The policy accepts the answer",
    }
    assert value(items(one, "Confidence in the answer")[0]) == 0.87
    assert value(items(one, "Distance from the training data")[0]) == 0.42
    assert [value(x) for x in items(one, "Comment")] == [
        "Distance from the training data: 0 is typical, 1 beyond every validation case"
    ]
    assert value(items(one, "Share of cases whose prediction set holds the true class")[0]) == 0.9
    assert value(items(one, "Standard deviation drawn over")[0]) == "dropout passes"
    shown = [x.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for x in items(one, "Source of Measurement")]
    assert shown == [headers(tmp_path)[number].SOPInstanceUID for number in (2, 3)]


def test_it_names_the_model_everywhere(tmp_path: Path) -> None:
    found = report(tmp_path)

    assert value(items(found, "Device Observer Name")[0]) == "haemorrhage-ct"
    assert value(items(found, "Device Observer Serial Number")[0]) == "b0" * 32
    for name in ("Answer", "Class subdural"):
        one = group(found, name)
        assert value(items(one, "Algorithm Name")[0]) == "haemorrhage-ct"
        assert value(items(one, "Algorithm Version")[0]) == "b0" * 32 + " (Insula 0.1.0)"
        assert value(items(one, "Algorithm Family")[0]) == "Artificial Intelligence"


def test_it_refers_to_every_slice_that_was_used(tmp_path: Path) -> None:
    found = report(tmp_path)
    used = {one.SOPInstanceUID for one in headers(tmp_path)}

    (library,) = items(found, "Image Library", "Image Library Group")
    assert {x.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for x in items(library, "Source")} == used
    assert value(items(library, "Modality")[0]) == "Computed Tomography"
    assert value(items(library, "Vertical Pixel Spacing")[0]) == 0.45
    (study,) = found.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence} == used


def test_it_says_research_use_only_in_words_and_is_complete_but_preliminary(tmp_path: Path) -> None:
    found = report(tmp_path)

    (limits,) = items(found, "Qualitative Evaluations", "Limits of use")
    assert value(limits).startswith("Research use only; not a medical device.")
    assert value(items(group(found, "Answer"), "Limits of use")[0]) == "Research use only; not a medical device."
    assert (found.CompletionFlag, found.PreliminaryFlag, found.VerificationFlag) == (
        "COMPLETE", "PRELIMINARY", "UNVERIFIED"
    )  # fmt: skip
    assert found.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99INSULA"


def test_a_referral_gives_its_reasons_stage_and_survival_in_its_own_language(tmp_path: Path) -> None:
    found = report(tmp_path, replace(referred(), review=None))
    answer = group(found, "Yanıt")

    assert [value(x) for x in items(answer, "Reason for the decision")] == list(referred().answer.reasons)
    assert value(items(answer, "Decision of the policy")[0]) == "Referred: a person has to look at this case"
    stage = group(found, "Diğer yanıtlar: stage")
    assert value(items(stage, "Most probable of them")[0]) == "III"
    assert [(value(x), value(items(x, "Standard Deviation")[0])) for x in items(stage, "III")] == [(0.45, 0.08)]
    survival = group(found, "Diğer yanıtlar: survival")
    assert value(items(survival, "365. günde “death” olmadan")[0]) == 0.78
    assert value(items(found, "Language of Content Item and Descendants")[0]) == "Turkish"


@pytest.mark.parametrize(
    ("verdict", "flag", "finding"),
    [("agree", "VERIFIED", "any"), ("override", "VERIFIED", "subdural"), ("cannot_tell", "UNVERIFIED", "subdural")],
)
def test_a_review_that_decides_makes_it_final_and_verifies_it(
    tmp_path: Path, verdict: str, flag: str, finding: str
) -> None:
    review = reviewed(verdict)
    found = report(tmp_path, case(review=review), review_id="r1")

    assert found.PreliminaryFlag == ("FINAL" if flag == "VERIFIED" else "PRELIMINARY")
    assert found.VerificationFlag == flag
    assert [value(x) for x in items(found, "Qualitative Evaluations", "Finding")] == [finding]
    assert [value(x) for x in items(group(found, "Answer"), "Finding")] == (["any"] if verdict == "agree" else [])
    assert value(items(group(found, "Review"), "Comment")[0]) == review.comment
    assert str(items(found, "Person Observer Name")[0].PersonName) == "Dr. Ayşe Yılmaz 王^"
    if flag == "VERIFIED":
        (observer,) = found.VerifyingObserverSequence
        assert str(observer.VerifyingObserverName) == "Dr. Ayşe Yılmaz 王^"
        assert observer.VerifyingOrganization == "Hastane"
        assert observer.VerificationDateTime == "20261127113000"


def test_a_full_name_of_two_words_is_verified_by_its_parts(tmp_path: Path) -> None:
    found = report(tmp_path, case(review=replace(reviewed(), full_name="Ayşe Yılmaz")), review_id="r1")

    assert str(found.VerifyingObserverSequence[0].VerifyingObserverName) == "Yılmaz^Ayşe"
    assert str(items(found, "Person Observer Name")[0].PersonName) == "Yılmaz^Ayşe"


def test_several_labels_are_several_findings(tmp_path: Path) -> None:
    said = "intracranial haemorrhage; subdural haemorrhage"
    found = report(tmp_path, case(review=replace(reviewed(), label=said)), review_id="r1")

    assert [value(x) for x in items(found, "Qualitative Evaluations", "Finding")] == [
        "Intracranial hemorrhage", "Subdural intracranial hemorrhage"
    ]  # fmt: skip
    assert [value(x) for x in items(group(found, "Review"), "Finding")] == [
        "Intracranial hemorrhage", "Subdural intracranial hemorrhage"
    ]  # fmt: skip


def test_warnings_about_the_scan_are_said_in_words(tmp_path: Path) -> None:
    scan = ScanFacts("ct", "CT", 5, warnings=("tilt removed by resampling", "slices 3 and 4 are 7.5 mm apart"))
    found = report(tmp_path, case(study=Study("Head", scans=(scan,))))

    assert [value(x) for x in items(found, "Qualitative Evaluations", "Warning about the scan")] == [
        "ct: tilt removed by resampling", "ct: slices 3 and 4 are 7.5 mm apart"
    ]  # fmt: skip


def test_it_names_the_report_that_it_supersedes(tmp_path: Path) -> None:
    before = report(tmp_path)
    found = report(tmp_path, case(review=reviewed()), review_id="r1", earlier=(before,))

    (study,) = found.PredecessorDocumentsSequence
    (one,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert one.ReferencedSOPInstanceUID == before.SOPInstanceUID != found.SOPInstanceUID


def test_a_rejected_case_says_so_and_why_and_no_more(tmp_path: Path) -> None:
    of = rejected()
    found = report(tmp_path, of)
    all_said = list(said(found))

    assert [value(x) for x in items(group(found, "Answer"), "Reason for the decision")] == list(of.answer.reasons)
    assert "Rejected: there is no answer for this scan" in all_said
    assert not {
        "Finding",
        PROBABILITY,
        "Class of the model",
        "Confidence in the answer",
        "Summary",
        "Source of Measurement",
    } & set(all_said)
    assert not {row.name for row in SIX} & set(all_said)
    assert not {str(row.probability) for row in SIX} & set(all_said)


def test_several_series_stand_in_one_report(tmp_path: Path) -> None:
    other = tuple(headers(tmp_path, SeriesInstanceUID="1.2.3", Modality="MR"))
    for number, one in enumerate(other):
        one.SOPInstanceUID = f"1.2.3.{number}"
    given = (*result(tmp_path).series, SourceSeries("mri", other))
    found = report(tmp_path, series=given)

    assert len(items(found, "Image Library", "Image Library Group")) == 2
    assert {value(x) for x in items(found, "Procedure reported")} == {
        "Head CT",
        "Brain MRI",
    }


def test_frames_of_one_file_are_named_by_number(tmp_path: Path) -> None:
    found = report(tmp_path, series=(SourceSeries("ct", (enhanced(tmp_path),), picture, (3,)),))

    (shown,) = items(group(found, "Answer"), "Source of Measurement")
    assert shown.ReferencedSOPSequence[0].ReferencedFrameNumber == 4  # counted from 1


def test_texts_that_no_field_holds_are_mended(tmp_path: Path) -> None:
    row = ClassRow("a\\b\x00\ud800 " + "very " * 20, 0.5)
    given = case(question="What?\x1b\x07\r\nSay.", answer=replace(case().answer, label=row.name, classes=(row,)))

    found = report(tmp_path, given)

    (name,) = (value(x) for x in items(found, "Qualitative Evaluations", "Finding"))
    assert name.startswith("a/b? very")
    assert name.endswith("…")
    assert len(name) == 64
    assert value(items(found, "Qualitative Evaluations", "Question")[0]) == "What?\nSay."


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    row = ClassRow("any", 0.5, float("nan"), float("inf"))
    found = report(tmp_path, case(answer=replace(case().answer, classes=(row, ClassRow("other", float("nan"))))))

    one = group(found, "Class any")
    assert len(items(one, PROBABILITY)) == 1
    assert not items(one, "Threshold from which a class counts as present")
    assert "Class other" not in set(said(found))
