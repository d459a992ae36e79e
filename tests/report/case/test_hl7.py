"""The ORU message, read by a parser that others wrote and held to the structure of HL7 v2.5.1."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message
from tests.report.case.made_case import AT, CHINESE, TURKISH, case, referred, rejected

from insula.report.case.hl7 import Order, case_oru
from insula.report.case.record import CaseReport, Review, Study, Summary

ORDER = Order(
    "1.2.3", "TR-0042", "ÖZTÜRK^Işıl^^Dr.=王^小明", "19700131", "F", "HOSPITAL", "ACC|1", "P^7", "20261125093000.5"
)
MADE = [case, referred, rejected]
REVIEW = Review("agree", "Dr. A & B (reader)", AT, "any", "a private remark")


def oru(report: CaseReport, order: Order = ORDER, **more: Any) -> str:
    return case_oru(report, order, "0123456789abcdef0123", datetime(2026, 11, 26, 15, 0, tzinfo=UTC), "RIS", **more)


def rows(message: str, name: str) -> list[list[str]]:
    """Fields of the segments of a name, counted as HL7 does: [1] is the first."""
    return [line.split("|") for line in message.split("\r") if line.startswith(f"{name}|")]


def values(message: str, code: str) -> list[str]:
    """Values of the observations whose first identifier is a code."""
    return [row[5] for row in rows(message, "OBX") if row[3].split("^")[0] == code]


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("review", [None, REVIEW])
def test_keeps_to_the_structure(made: Callable[[], CaseReport], review: Review | None) -> None:
    text = oru(replace(made(), review=review), pdf=b"%PDF-1.7")
    found = parse_message(text, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)
    assert found.validate() is True
    assert found.msh.msh_10.value == "0123456789abcdef0123"
    assert found.msh.msh_18.value == "UNICODE UTF-8"
    assert [row[1] for row in rows(text, "OBX")] == [str(n) for n in range(1, len(rows(text, "OBX")) + 1)]


def test_names_patient_and_study() -> None:
    text = oru(case())
    (pid,) = rows(text, "PID")
    assert pid[3] == "TR-0042^^^HOSPITAL"
    assert pid[5] == "ÖZTÜRK^Işıl^^^Dr.^^L^A~王^小明^^^^^L^I"
    assert (pid[7], pid[8]) == ("19700131", "F")
    (obr,) = rows(text, "OBR")
    assert (obr[2], obr[3], obr[7]) == ("P\\S\\7", "ACC\\F\\1", "20261125093000")
    (first, *_) = rows(text, "OBX")
    assert first[2:6] == ["ST", "113014^DICOM Study^DCM", "", "1.2.3"]
    assert first[11] == "O"


def test_tells_each_class_with_its_threshold() -> None:
    report = case()
    text = oru(report)
    found = [row for row in rows(text, "OBX") if row[3].startswith("111012^")]
    assert [float(row[5]) for row in found] == [row.probability for row in report.answer.classes]
    assert [row[7] for row in found] == [f"<{row.threshold}" for row in report.answer.classes]
    assert [float(value) for value in values(text, "spread")] == [row.spread for row in report.answer.classes]
    assert values(text, "121071") == ["any"]
    assert values(text, "59776-5")[0] == "Research use only; not a medical device."
    assert {row[3] for row in rows(text, "OBX") if row[8] == "A"} == {"121071^Finding^DCM"}
    assert [row[2:6] for row in rows(text, "OBX") if row[3].startswith("distance^")] == [
        [
            "NM",
            "distance^Distance from the training data: 0 is typical, 1 beyond every validation case^99INSULA",
            "",
            "0.42",
        ]
    ]


def test_long_text_is_cut_at_the_ends_of_sentences() -> None:
    sentences = [f"Sentence {n} has {'many ' * n}words." for n in range(1, 12)]
    text = oru(case(summary=Summary(" ".join(sentences))))
    told = [line for line in values(text, "59776-5") if "Sentence" in line]
    assert " ".join(told) == " ".join(sentences)
    assert all(line.startswith("Sentence") and line.endswith("words.") and len(line) <= 160 for line in told)
    assert len(told) < len(sentences)
    (one,) = values(oru(case(summary=Summary("x" * 200))), "59776-5")[-3:-2]
    assert one == "x" * 160


def test_says_the_warnings_about_the_scan() -> None:
    assert values(oru(referred()), "warning") == ["mri: slices 3 and 4 are 7.5 mm apart, resampled"]
    assert values(oru(case()), "warning") == []


@pytest.mark.parametrize(
    ("full", "who"),
    [
        ("Anna Berg", "&Berg&Anna"),
        ("Berg, Anna", "&Berg&Anna"),
        ("Dr. Berg", "&Dr. B"),
        ("A B C", "&Dr. B"),
        ("", "&Dr. B"),
    ],
)
def test_a_full_name_of_two_words_has_two_parts(full: str, who: str) -> None:
    signed = replace(REVIEW, signed_by="Dr. B", full_name=full)
    assert rows(oru(case(review=signed)), "OBR")[0][32] == who


def test_says_no_class_of_a_rejected_case() -> None:
    report = rejected()
    text = oru(report)
    assert values(text, "decision") == ["reject"]
    assert " ".join(values(text, "reason")) == " ".join(report.answer.reasons) != ""
    for code in ("121071", "111012", "spread", "prediction-set", "further"):
        assert values(text, code) == []
    assert all(row[8] == "" for row in rows(text, "OBX"))
    for row in report.answer.classes:
        assert row.name not in text


def test_is_final_once_it_is_read() -> None:
    before, after = oru(case()), oru(case(review=REVIEW))
    assert rows(before, "OBR")[0][25] == "P"
    assert rows(after, "OBR")[0][25] == "F"
    assert rows(after, "OBR")[0][32] == "&Dr. A \\T\\ B (reader)"
    assert {row[11] for row in rows(after, "OBX")} == {"O", "F"}
    assert values(after, "review") == ["agree"]
    assert values(after, "review-finding") == ["any"]
    assert "private remark" not in after


def test_what_its_reader_does_not_share_is_no_finding() -> None:
    text = oru(case(review=replace(REVIEW, verdict="override", label="normal")))
    assert rows(text, "OBR")[0][25] == "F"
    assert values(text, "121071") == values(text, "review-finding") == ["normal"]
    assert values(text, "model-finding") == ["any"]
    assert {row[8] for row in rows(text, "OBX")} == {""}
    told = values(text, "59776-5")
    assert told[1] == "Read and signed: decides otherwise, normal"
    assert [line for line in told if "any" in line] == [
        "The model's answer, which its reader does not share: any · Confidence 0.87"
    ]
    codes = [row[3].split("^")[0] for row in rows(text, "OBX")]
    assert codes.index("review") < codes.index("121071") < codes.index("decision")


def test_stays_preliminary_where_its_reader_cannot_tell() -> None:
    text = oru(case(review=replace(REVIEW, verdict="cannot_tell", label="")))
    (obr,) = rows(text, "OBR")
    assert obr[25] == "P"
    assert len(obr) < 33  # nobody interprets it
    assert {row[11] for row in rows(text, "OBX")} == {"O", "P"}
    assert values(text, "121071") == values(text, "review-finding") == []
    assert values(text, "model-finding") == ["any"]
    assert {row[8] for row in rows(text, "OBX")} == {""}
    assert values(text, "59776-5")[1] == "Preliminary: its reader cannot tell"


def test_a_reader_may_contradict_a_rejection() -> None:
    text = oru(rejected(review=replace(REVIEW, verdict="override", label="normal")))
    assert values(text, "121071") == ["normal"]
    assert values(text, "model-finding") == []


def test_holds_the_paper() -> None:
    (document,) = [row[5] for row in rows(oru(case(), pdf=b"%PDF-1.7 \xff"), "OBX") if row[2] == "ED"]
    assert document.startswith("^Application^PDF^Base64^")
    assert base64.b64decode(document.split("^")[4]) == b"%PDF-1.7 \xff"


@pytest.mark.parametrize(
    "text", ["a|b", "a\rOBX|9|ST|x||forged", "a^b~c&d\\e", "line\nline", "\x0b\x1c\r", CHINESE, TURKISH]
)
def test_no_text_can_forge_a_segment(text: str) -> None:
    report = case(question=text, study=Study(text))
    report = replace(report, answer=replace(report.answer, label=text, reasons=(text,)))
    plain = oru(case(), replace(ORDER, name="A", patient_id="1", accession=""))
    made = oru(report, replace(ORDER, name="A", patient_id=text, accession=text))
    assert len(rows(made, "PID")) == 1
    kinds = {"forged", "x"} & {row[3].split("^")[0] for row in rows(made, "OBX")}
    assert not kinds
    assert len(rows(made, "OBR")) == len(rows(plain, "OBR")) == 1
    assert all(line[:4] in ("MSH|", "PID|", "ORC|", "OBR|", "OBX|") for line in made.split("\r") if line)
    assert "\x0b" not in made
    assert "\x1c" not in made
    parse_message(made, validation_level=VALIDATION_LEVEL.STRICT, find_groups=True)


def test_leaves_out_what_headers_do_not_say() -> None:
    text = oru(case(), Order("1.2.3", "1", birth_date="unknown", sex="X", taken="x"))
    (pid,) = rows(text, "PID")
    assert pid == ["PID", "1", "", "1"]
    (obr,) = rows(text, "OBR")
    assert obr[7] == ""
    assert obr[3] == case().id
