"""The case report as a FHIR R4 DiagnosticReport with its observations and the model inside it.

Elements and their value sets: HL7 FHIR release 4 (4.0.1), DiagnosticReport, Observation, Device, Attachment. Nothing
that names the patient is written: the subject is the pseudonym alone, and free text that people wrote (study title,
notes, comment of a review) and summaries stay out. A PDF that is attached does show the name.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from datetime import UTC, datetime
from html import escape
from typing import Any, Final
from uuid import UUID

from insula.report import words
from insula.report.case import say
from insula.report.case.record import OVERRULED, CaseReport, ClassRow, Further, Review, as_shown
from insula.report.case.texts import texts

Resource = dict[str, Any]

LOINC: Final = "http://loinc.org"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
UCUM: Final = "http://unitsofmeasure.org"
SECTION: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"  # diagnostic service section
CATEGORY: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_SLIDES: Final = "SM"  # DICOM's modality of whole slides
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_FORBIDDEN: Final = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def case_fhir(report: CaseReport, pdf: bytes | None = None, subject_system: str = "") -> Resource:
    """The report as one DiagnosticReport resource: `preliminary` until a reader stands for it, then `final`.

    pdf: the same report on paper, attached as presentedForm. subject_system: the URI in which the pseudonym is one.
    What its reader does not share is no finding: it stands under a name of its own, without an interpretation. Numbers
    are those of the record. UsageError for a language that the report does not speak.
    """
    shown = as_shown(report)
    t = texts(shown.language)
    inner = [_model(shown, t), *_review(shown, t), _decision(shown, t), *_probabilities(shown, t), *_further(shown, t)]
    about = _about(shown, subject_system)
    for one in inner:
        if one["resourceType"] == "Observation":
            one |= about | {"effectiveDateTime": one.get("effectiveDateTime", _instant(shown.made_at))}
    results = [one["id"] for one in inner if one["resourceType"] == "Observation"]
    slides = any(scan.modality == _SLIDES for scan in shown.study.scans)
    section = ("SP", "Surgical Pathology") if slides else ("RAD", "Radiology")
    code = ("11526-1", "Pathology study") if slides else ("18748-4", "Diagnostic imaging study")
    resource: Resource = {
        "resourceType": "DiagnosticReport",
        "language": shown.language,
        "text": {"status": "generated", "div": _narrative(shown, t)},
        "contained": inner,
        "identifier": [_identifier(shown.id)],
        "status": _status(shown),
        "category": [_coded(SECTION, *section)],
        "code": _coded(LOINC, *code),
        **about,
        "issued": _instant(shown.made_at),
        "result": [{"reference": f"#{name}"} for name in results],
        "conclusion": _conclusion(shown, t),
    }
    if _DATE.fullmatch(shown.study.date):
        resource["effectiveDateTime"] = shown.study.date
    if shown.review is not None and shown.decided:
        resource["resultsInterpreter"] = [{"display": _text(shown.review.signed_by)}]
    if pdf is not None:
        resource["presentedForm"] = [_attachment(pdf, shown, t)]
    return resource


def _model(report: CaseReport, t: dict[str, str]) -> Resource:
    model = report.model
    return {
        "resourceType": "Device",
        "id": "model",
        "identifier": [{"value": model.bundle_id}],
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "type": _coded(DCM, "123110", "Artificial Intelligence"),
        "version": [
            {"type": {"text": "Insula"}, "value": model.insula},
            {"type": {"text": "bundle"}, "value": model.bundle_id},
        ],
        "note": [{"text": t["limits"]}],
    }


def _decision(report: CaseReport, t: dict[str, str]) -> Resource:
    """What the policy made of the answer; for a rejected case the action with its reasons, and no finding."""
    given = report.answer
    found = _observation("decision", report, {"text": "Decision of the policy"})
    found["valueCodeableConcept"] = {"text": given.action}
    parts: list[Resource] = []
    if given.action != "reject":
        code = _coded(DCM, "121071", "Finding") if report.shared else {"text": OVERRULED}
        parts.append({"code": code, "valueCodeableConcept": {"text": _text(given.label)}})
        if given.confidence is not None:
            parts.append({"code": {"text": "Confidence"}, "valueQuantity": _ratio(given.confidence)})
        if given.positive is not None and report.shared:
            pair = ("POS", "Positive") if given.positive else ("NEG", "Negative")
            found["interpretation"] = [_coded(INTERPRETATION, *pair)]
    if given.domain_score is not None and math.isfinite(given.domain_score):
        parts.append({"code": {"text": "Distance from the training data"}, "valueQuantity": _ratio(given.domain_score)})
    if parts:
        found["component"] = parts
    found["note"] = [{"text": _text(reason)} for reason in given.reasons] + [{"text": t["limits"]}]
    return found


def _probabilities(report: CaseReport, t: dict[str, str]) -> list[Resource]:
    """Probabilities by class, each with its threshold as reference range; no observation where there are none."""
    given = report.answer
    parts = [part for row in given.classes for part in _class(row, given.spread_of)]
    if not parts:
        return []
    found = _observation("probability", report, _coded(DCM, "111012", "Certainty of Finding"))
    found["code"]["text"] = "Probability by class"
    return [found | {"component": parts, "note": [{"text": f"{t['limits']} {t['limits_say']}"}]}]


def _class(row: ClassRow, source: str) -> list[Resource]:
    if not math.isfinite(row.probability):
        return []
    part: Resource = {"code": {"text": _text(row.name)}, "valueQuantity": _ratio(row.probability)}
    if row.threshold is not None and math.isfinite(row.threshold):
        said = "Threshold from which the class counts as present"
        part["referenceRange"] = [{"low": _ratio(row.threshold), "text": said}]
    spread: list[Resource] = []
    if row.spread is not None and math.isfinite(row.spread):
        name = f"{_text(row.name)}: standard deviation ({source})"
        spread.append({"code": {"text": name}, "valueQuantity": _ratio(row.spread)})
    return [part, *spread]


def _further(report: CaseReport, t: dict[str, str]) -> list[Resource]:
    found = []
    for number, answer in enumerate(report.further, 1):
        parts = _values(answer, t)
        if parts:
            one = _observation(f"further-{number}", report, {"text": _text(answer.target)})
            found.append(one | {"component": parts})
    return found


def _values(answer: Further, t: dict[str, str]) -> list[Resource]:
    return [
        {"code": {"text": _text(say.further_name(answer, one.name, t))}, "valueQuantity": _ratio(one.value)}
        for one in answer.values
        if math.isfinite(one.value)
    ]


def _review(report: CaseReport, t: dict[str, str]) -> list[Resource]:
    """The reader's verdict and class, without the comment, which is free text."""
    review: Review | None = report.review
    if review is None:
        return []
    found: Resource = {
        "resourceType": "Observation",
        "id": "review",
        "status": _status(report),
        "category": [_coded(CATEGORY, "imaging", "Imaging")],
        "code": {"text": t["review"]},
        "effectiveDateTime": _instant(review.at),
        "issued": _instant(review.at),
        "performer": [{"display": _text(review.signed_by)}],
        "valueCodeableConcept": {"text": _text(review.verdict)},
    }
    if review.label:
        label = {"text": _text(review.label)}
        found["component"] = [{"code": _coded(DCM, "121071", "Finding"), "valueCodeableConcept": label}]
    return [found]


def _observation(name: str, report: CaseReport, code: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "id": name,
        "status": _status(report),
        "category": [_coded(CATEGORY, "imaging", "Imaging")],
        "code": code,
        "issued": _instant(report.made_at),
        "device": {"reference": "#model"},
    }


def _about(report: CaseReport, system: str) -> Resource:
    identifier = {"value": _text(report.patient.subject)} | ({"system": system} if system else {})
    return {"subject": {"type": "Patient", "identifier": identifier}}


def _status(report: CaseReport) -> str:
    return "final" if report.decided else "preliminary"


def _conclusion(report: CaseReport, t: dict[str, str]) -> str:
    given = report.answer
    headline = say.headline(report, t)
    if headline and not report.shared:
        headline = f"{t['not_shared']}: {headline}"
    said = [t["limits"], headline, t[given.action], *given.reasons]
    if report.review is not None:  # who has read it has the first word
        said.insert(1, f"{t['review']}: {say.read(report.review, t)}")
    return _text(" ".join(words.sentence(part) for part in said if part))


def _narrative(report: CaseReport, t: dict[str, str]) -> str:
    """The few lines that a person sees where nothing else can be shown (XHTML)."""
    lines = (f"{t['title']} {report.id}", _text(report.question), _conclusion(report, t))
    inside = "".join(f"<p>{escape(_text(line))}</p>" for line in lines if line)
    return f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{report.language}">{inside}</div>'


def _attachment(pdf: bytes, report: CaseReport, t: dict[str, str]) -> Resource:
    """The PDF; its hash is the SHA-1 that R4 asks for, in base64."""
    digest = hashlib.sha1(pdf, usedforsecurity=False).digest()
    return {
        "contentType": "application/pdf",
        "language": report.language,
        "data": base64.b64encode(pdf).decode(),
        "size": len(pdf),
        "hash": base64.b64encode(digest).decode(),
        "title": f"{t['title']} {report.id}",
        "creation": _instant(report.made_at),
    }


def _identifier(name: str) -> Resource:
    try:
        return {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{UUID(name)}"}
    except ValueError:
        return {"value": _text(name)}


def _coded(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _ratio(value: float) -> Resource:
    """A number without a unit (UCUM's `1`)."""
    return {"value": value, "unit": "1", "system": UCUM, "code": "1"}


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _text(said: str) -> str:
    """A text without what FHIR and XML may not hold; a dash where nothing is left, since none may be empty."""
    return _FORBIDDEN.sub("", said).strip() or "–"
