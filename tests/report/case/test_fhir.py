"""The FHIR resource against the elements, value sets and rules of R4 (4.0.1), and against models that others wrote.

The models are those of R4B (4.3.0), in which DiagnosticReport, Observation and Device are as in R4.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from pydicom.sr.codedict import codes
from tests.report.case.made_case import AT, CHINESE, TURKISH, case, referred, rejected

from insula.report.case.fhir import case_fhir
from insula.report.case.record import CaseReport, Patient, Review, ScanFacts, Study

MADE = [case, referred, rejected]
_ELEMENTS = {
    "DiagnosticReport": "resourceType id language text contained identifier status category code subject "
    "effectiveDateTime issued resultsInterpreter result conclusion presentedForm",
    "Observation": "resourceType id status category code subject effectiveDateTime issued performer "
    "valueCodeableConcept interpretation note device component",
    "Device": "resourceType id identifier deviceName type version note",
}  # fmt: skip
_REQUIRED = {"DiagnosticReport": "status code", "Observation": "status code", "Device": ""}
_PARTS = {
    "text": "status div", "identifier": "system value", "coding": "system code display", "code": "coding text",
    "category": "coding", "type": "coding text", "subject": "type identifier", "deviceName": "name type",
    "version": "type value", "note": "text", "result": "reference", "device": "reference", "performer": "display",
    "resultsInterpreter": "display", "interpretation": "coding", "valueCodeableConcept": "text",
    "valueQuantity": "value unit system code", "low": "value unit system code", "referenceRange": "low text",
    "component": "code valueCodeableConcept valueQuantity referenceRange",
    "presentedForm": "contentType language data size hash title creation",
}  # fmt: skip
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DISPLAYS = {
    ("http://loinc.org", "18748-4"): "Diagnostic imaging study",
    ("http://loinc.org", "11526-1"): "Pathology study",
    ("http://terminology.hl7.org/CodeSystem/v2-0074", "RAD"): "Radiology",
    ("http://terminology.hl7.org/CodeSystem/v2-0074", "SP"): "Surgical Pathology",
    ("http://terminology.hl7.org/CodeSystem/observation-category", "imaging"): "Imaging",
    ("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "POS"): "Positive",
    ("http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation", "NEG"): "Negative",
} | {
    ("http://dicom.nema.org/resources/ontology/DCM", one.value): one.meaning
    for one in (codes.DCM.Finding, codes.DCM.CertaintyOfFinding, codes.DCM.ArtificialIntelligence)
}  # fmt: skip


def walk(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value below a resource with the name of its element."""
    yield name, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, key)
    elif isinstance(node, list):
        for one in node:
            yield from walk(one, name)


def check(resource: dict[str, Any]) -> None:
    """Raise AssertionError where a resource breaks R4."""
    inner = resource.get("contained", [])
    for one in (resource, *inner):
        kind = one["resourceType"]
        assert set(one) <= set(_ELEMENTS[kind].split()), kind
        assert set(_REQUIRED[kind].split()) <= set(one)
        if kind != "Device":
            assert one["status"] in ("registered", "preliminary", "final", "amended")
            assert _INSTANT.fullmatch(one["issued"])
        if kind == "Observation":  # obs-6 and obs-7: a value or components; a component's code is not the own code
            assert "valueCodeableConcept" in one or "component" in one
            assert one["code"] not in [
                part["code"] for part in one.get("component", []) if "valueCodeableConcept" in one
            ]
    ids = [one["id"] for one in inner]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", name) for name in ids)
    used = {value["reference"] for _, value in walk(resource) if isinstance(value, dict) and "reference" in value}
    assert used == {f"#{name}" for name in ids}  # dom-3: what is contained is referred to, and nothing else is
    assert not [one for one in inner if "contained" in one]  # dom-2
    for name, value in walk(resource):
        assert value not in ("", [], {}, None), name
        if isinstance(value, dict) and name in _PARTS and "resourceType" not in value:
            assert set(value) <= set(_PARTS[name].split()), name
        if name == "coding" and isinstance(value, dict):
            assert _DISPLAYS[value["system"], value["code"]] == value["display"]
        if isinstance(value, str):
            assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", value)
    ET.fromstring(resource["text"]["div"])


def observation(resource: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [one for one in resource["contained"] if one["id"] == name]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("pdf", [None, b"%PDF-1.7 made"])
def test_it_is_a_diagnostic_report_of_r4(make: Callable[[], CaseReport], pdf: bytes | None) -> None:
    made = case_fhir(make(), pdf, "urn:example:subjects")
    check(made)
    same = DiagnosticReport.model_validate(json.loads(json.dumps(made, allow_nan=False)))
    back = json.loads(same.model_dump_json())
    assert back["contained"][0]["deviceName"] == made["contained"][0]["deviceName"]
    assert set(back) == set(made)


def _without_code(r: dict[str, Any]) -> None:
    del r["code"]


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no code": _without_code,
    "a status that is none": lambda r: r.update(status="done"),
    "empty list": lambda r: r.update(resultsInterpreter=[]),
    "another element": lambda r: r.update(verdict="yes"),
    "contained, not referred to": lambda r: r["contained"].append({"resourceType": "Device", "id": "alone"}),
    "refers to nobody": lambda r: r["result"].append({"reference": "#nobody"}),
    "another display": lambda r: r["code"]["coding"][0].update(display="Something else"),
    "a date as instant": lambda r: r["contained"][1].update(issued="2026-11-26"),
    "a value beside its own code": lambda r: r["contained"][1]["component"][0].update(code=r["contained"][1]["code"]),
    "broken XML": lambda r: r["text"].update(div="<div><p></div>"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_the_checker_sees_what_is_wrong(name: str) -> None:
    made = case_fhir(case())
    check(made)
    SPOILT[name](made)
    with pytest.raises((AssertionError, KeyError, ET.ParseError)):
        check(made)


def test_numbers_are_those_of_the_record() -> None:
    made = case_fhir(case())
    parts = observation(made, "probability")["component"]
    first = parts[0]
    assert (first["code"]["text"], first["valueQuantity"]["value"]) == ("any", 0.87)
    assert first["valueQuantity"] | {"value": 0} == {
        "value": 0,
        "unit": "1",
        "system": "http://unitsofmeasure.org",
        "code": "1",
    }
    assert first["referenceRange"][0]["low"]["value"] == 0.412345
    assert (parts[1]["code"]["text"], parts[1]["valueQuantity"]["value"]) == (
        "any: standard deviation (dropout)",
        0.034,
    )
    decision = observation(made, "decision")
    assert decision["valueCodeableConcept"] == {"text": "accept"}
    assert decision["interpretation"][0]["coding"][0]["code"] == "POS"
    assert decision["component"][0]["valueCodeableConcept"] == {"text": "any"}
    assert '"value": 0.87' in json.dumps(made)


def test_it_is_preliminary_until_it_was_read() -> None:
    made = case_fhir(case())
    assert {made["status"], *(o["status"] for o in made["contained"] if "status" in o)} == {"preliminary"}
    assert "resultsInterpreter" not in made
    read = case_fhir(referred())
    assert {read["status"], *(o["status"] for o in read["contained"] if "status" in o)} == {"final"}
    assert read["resultsInterpreter"] == [{"display": "Dr. Ayşe Yılmaz"}]
    review = observation(read, "review")
    assert review["valueCodeableConcept"] == {"text": "override"}
    assert review["component"][0]["valueCodeableConcept"] == {"text": "benign"}


@pytest.mark.parametrize(("verdict", "status"), [("override", "final"), ("cannot_tell", "preliminary")])
def test_what_its_reader_does_not_share_is_no_finding(verdict: str, status: str) -> None:
    made = case_fhir(case(review=Review(verdict, "Dr. A", AT, "normal" if verdict == "override" else "")))
    check(made)
    assert {made["status"], *(one["status"] for one in made["contained"] if "status" in one)} == {status}
    assert ("resultsInterpreter" in made) == (status == "final")
    decision = observation(made, "decision")
    assert "interpretation" not in decision
    assert decision["component"][0] == {
        "code": {"text": "Finding of the model, which its reader does not share"},
        "valueCodeableConcept": {"text": "any"},
    }
    found = [
        part["valueCodeableConcept"]["text"]
        for one in made["contained"]
        for part in one.get("component", [])
        if part["code"].get("coding", [{}])[0].get("code") == "121071"
    ]
    assert found == (["normal"] if verdict == "override" else [])
    said = {
        "override": "Review: decides otherwise, normal. The model's answer, which its reader does not share: any",
        "cannot_tell": "Review: cannot tell. The model's answer, which its reader does not share: any",
    }
    assert made["conclusion"].startswith(f"Research use only; not a medical device. {said[verdict]}")
    assert made["result"][0] == {"reference": "#review"}


def test_who_has_labelled_it_alike_without_the_answer_shares_it() -> None:
    decision = observation(case_fhir(case(review=Review("override", "Dr. A", AT, "any"))), "decision")
    assert decision["component"][0]["code"]["coding"][0]["code"] == "121071"
    assert "interpretation" in decision


def test_nobody_is_named_and_no_free_text_leaves() -> None:
    for report in (case(), referred()):
        said = json.dumps(case_fhir(report, subject_system="urn:example:s"), ensure_ascii=False)
        for hidden in (TURKISH, CHINESE, "TR-0042", "病历-0001", "ladder", "Menenjiyom", "Beyin BT", "Tümör takibi"):
            assert hidden not in said, hidden
    subject = case_fhir(case(), subject_system="urn:example:s")["subject"]
    assert subject == {"type": "Patient", "identifier": {"value": "subject-7f3a", "system": "urn:example:s"}}
    assert "system" not in case_fhir(case())["subject"]["identifier"]


def test_a_rejected_case_holds_the_decision_alone() -> None:
    made = case_fhir(rejected())
    assert [one["id"] for one in made["contained"]] == ["model", "decision"]
    decision = observation(made, "decision")
    assert decision["valueCodeableConcept"] == {"text": "reject"}
    assert "interpretation" not in decision
    assert "1.8 times as far" in made["conclusion"]
    assert not re.search(r"0\.87|intraparenchymal|0\.6123", json.dumps(made))


def test_the_pdf_is_attached_with_its_hash() -> None:
    form = case_fhir(case(), b"%PDF-1.7 made")["presentedForm"][0]
    assert base64.b64decode(form["data"]) == b"%PDF-1.7 made"
    assert base64.b64decode(form["hash"]) == hashlib.sha1(b"%PDF-1.7 made").digest()
    assert (form["contentType"], form["size"]) == ("application/pdf", 13)


def test_slides_are_pathology_and_further_answers_are_observations() -> None:
    made = case_fhir(case(study=Study("", "", (ScanFacts("slide", "SM", 12),))))
    check(made)
    assert made["code"]["coding"][0]["code"] == "11526-1"
    assert made["category"][0]["coding"][0]["code"] == "SP"
    assert "effectiveDateTime" not in made
    stage = observation(case_fhir(referred()), "further-1")
    assert [(c["code"]["text"], c["valueQuantity"]["value"]) for c in stage["component"]][2] == ("III", 0.45)


def test_text_that_xml_cannot_hold_is_cleaned_and_markup_escaped() -> None:
    hostile = "</p></div><script>x</script> & \x00\x0b"
    given = replace(referred().answer, label=hostile, reasons=(hostile,))
    made = case_fhir(referred(answer=given, question=hostile, id=hostile, patient=Patient(f"s\x00{CHINESE}")))
    check(made)
    tree = ET.fromstring(made["text"]["div"])
    assert {one.tag.rpartition("}")[2] for one in tree.iter()} == {"div", "p"}
    assert made["identifier"] == [{"value": "</p></div><script>x</script> &"}]
