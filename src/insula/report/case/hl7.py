"""The case report as an HL7 v2.5.1 message ORU^R01, as IHE Radiology sends imaging results (RAD-128).

Segments and fields: HL7 v2.5.1, chapters 2 (MSH), 3 (PID), 4 (ORC, OBR) and 7 (OBX). Encoded as UTF-8.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from textwrap import wrap
from typing import Final

from insula.report.case import say
from insula.report.case.record import OVERRULED, CaseReport, ClassRow, as_shown
from insula.report.case.texts import texts

VERSION: Final = "2.5.1"
LOCAL: Final = "99INSULA"  # of codes that no standard has; 99zzz is HL7's form for a local coding system (table 0396)
_SLIDES: Final = "SM"
_SEPARATORS: Final = "^~\\&"
_LONGEST_CONTROL: Final = 20  # characters of MSH-10
_LONGEST_SPACE: Final = 20  # characters of EI-2
_LONGEST_LINE: Final = 160
_SENTENCE_ENDS: Final = re.compile(r"(?<=[.!?])\s+")
_ESCAPES: Final = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})  # 2.7.1
_GROUPS: Final = ("A", "I", "P")  # alphabetic, ideographic, phonetic, as PS3.5 6.2.1 orders them (table 0465)


@dataclass(frozen=True)
class Order:
    """To whom and to what study the message belongs, as the study's own headers have it; "" for what they do not say.

    name: as DICOM writes it (PS3.5, VR PN). birth_date: 20260131. sex: M, F or O. issuer: of the patient's number.
    taken: when the study was made, 20260131 or 20260131140309. placer: number of the order at who placed it.
    """

    study_uid: str
    patient_id: str
    name: str = ""
    birth_date: str = ""
    sex: str = ""
    issuer: str = ""
    accession: str = ""
    placer: str = ""
    taken: str = ""


def case_oru(
    report: CaseReport, order: Order, control: str, at: datetime, receiver: str = "", pdf: bytes | None = None
) -> str:
    """The message, segments ended by carriage returns: preliminary until a reader stands for the report, then final.

    control: its number (MSH-10), the same for each try; at: when it is sent. receiver: name of the application that
    gets it. pdf: the report on paper, as a last observation. A rejected case says so and why, with no finding of the
    model. What its reader does not share is no finding either: it stands under a code of its own, without a flag.
    """
    shown = as_shown(report)
    status = "F" if shown.decided else "P"
    study = _coded("113014", "DICOM Study", "DCM")
    observations = [("ST", study, "", _safe(order.study_uid), "", "", "", "O")] if order.study_uid else []
    observations += [(*one, status) for one in _observations(shown, pdf)]
    segments = [
        _header(control, at, receiver),
        _patient(order),
        _segment("ORC", "RE", _safe(order.placer), _safe(order.accession)),
        _request(shown, order, status),
    ]
    stamp = _moment(shown.review.at if shown.review else shown.made_at)
    by = _device(shown)
    for number, (kind, what, part, value, units, limit, flag, state) in enumerate(observations, 1):
        row = [str(number), kind, what, part, value, units, limit, flag, "", "", state, "", "", stamp, "", "", "", by]
        segments.append(_segment("OBX", *row))
    return "".join(f"{one}\r" for one in segments)


def _header(control: str, at: datetime, receiver: str) -> str:
    kind = "ORU^R01^ORU_R01"
    number = control[:_LONGEST_CONTROL]
    row = ["INSULA", "", _safe(receiver), "", _moment(at), "", kind, _safe(number), "P", VERSION]
    return f"MSH|{_SEPARATORS}|" + "|".join([*row, "", "", "", "", "", "UNICODE UTF-8"])


def _patient(order: Order) -> str:
    number = _safe(order.patient_id) + (f"^^^{_safe(order.issuer)}" if order.issuer else "")
    sex = order.sex if order.sex in ("M", "F", "O") else ""
    return _segment("PID", "1", "", number, "", _names(order.name), "", _digits(order.birth_date, 8), sex)


def _request(report: CaseReport, order: Order, status: str) -> str:
    slides = any(scan.modality == _SLIDES for scan in report.study.scans)
    code = _coded("11526-1", "Pathology study", "LN") if slides else _coded("18748-4", "Diagnostic imaging study", "LN")
    row = [""] * 32
    row[0] = "1"
    row[1], row[2] = _safe(order.placer), _safe(order.accession or report.id)
    row[3] = code
    row[6] = _digits(order.taken, 14)
    row[21] = _moment(report.review.at if report.review else report.made_at)
    row[23] = "SP" if slides else "RAD"  # table 0074
    row[24] = status  # table 0123
    if report.review is not None and report.decided:
        family, given = report.review.name_parts
        row[31] = f"&{_safe(family)}&{_safe(given)}".rstrip("&")  # NDL: family and given name
    return _segment("OBR", *row)


_Row = tuple[str, str, str, str, str, str, str]  # type, identifier, part, value, units, limits, flag


def _observations(report: CaseReport, pdf: bytes | None) -> Iterator[_Row]:
    t = texts(report.language)
    given = report.answer
    findings = _coded("59776-5", "Procedure Findings", "LN")
    for number, line in enumerate(
        _lines(_narrative(report, t)), 1
    ):  # a line each: receivers differ about breaks in one
        yield "TX", findings, str(number), line, "", "", ""
    if report.review is not None:
        yield "ST", _own("review", "Review"), "", _safe(report.review.verdict), "", "", ""
        if report.review.label:
            yield "ST", _own("review-finding", "Finding of the reader"), "", _safe(report.review.label), "", "", ""
    if report.finding:
        yield "ST", _coded("121071", "Finding", "DCM"), "", _safe(report.finding), "", "", _flag(report)
    yield "ST", _own("decision", "Decision of the policy"), "", given.action, "", "", ""
    for number, line in enumerate(_lines(given.reasons), 1):
        yield "TX", _own("reason", "Reason of the decision"), str(number), line, "", "", ""
    if given.domain_score is not None and math.isfinite(given.domain_score):
        name, unit = f"{t['domain']}: {t['domain_is']}", _coded("1", "no units", "UCUM")
        yield "NM", _own("distance", name), "", say.number(given.domain_score), unit, "", ""
    for number, line in enumerate(_lines(say.warnings(report)), 1):
        yield "TX", _own("warning", "Warning about the scan"), str(number), line, "", "", ""
    if given.action != "reject":
        if not report.shared:
            yield "ST", _own("model-finding", OVERRULED), "", _safe(given.label), "", "", ""
        for number, row in enumerate(given.classes, 1):
            yield from _class(row, number, given.spread_of)
        if given.prediction_set:
            level = "" if given.set_level is None else f" ({say.number(given.set_level)})"
            named = _safe("; ".join(given.prediction_set) + level)
            yield "ST", _own("prediction-set", "Prediction set"), "", named, "", "", ""
    for number, answer in enumerate(report.further, 1):
        for value in answer.values:
            if math.isfinite(value.value):
                name = f"{answer.target}: {say.further_name(answer, value.name, t)}"
                yield "NM", _own("further", name), str(number), say.number(value.value), "", "", ""
    if pdf is not None:
        document = f"^Application^PDF^Base64^{base64.b64encode(pdf).decode()}"
        yield "ED", _coded("18748-4", "Diagnostic imaging study", "LN"), "PDF", document, "", "", ""


def _class(row: ClassRow, number: int, source: str) -> Iterator[_Row]:
    if not math.isfinite(row.probability):
        return
    what = f"111012^Certainty of Finding^DCM^probability^{_safe(row.name)}^{LOCAL}"
    limit = f"<{say.number(row.threshold)}" if row.threshold is not None and math.isfinite(row.threshold) else ""
    unit = _coded("1", "no units", "UCUM")
    yield "NM", what, str(number), say.number(row.probability), unit, limit, ""
    if row.spread is not None and math.isfinite(row.spread):
        name = f"{row.name}: standard deviation ({source})"
        yield "NM", _own("spread", name), str(number), say.number(row.spread), unit, "", ""


def _narrative(report: CaseReport, t: dict[str, str]) -> list[str]:
    """What a person reads first: that it is for research, who has read it, the question, the answer, the decision."""
    given = report.answer
    lines = [t["limits"], say.state(report, t), f"{t['question']}: {report.question}"]
    if headline := say.headline(report, t):
        lines.append(f"{t['answer' if report.shared else 'not_shared']}: {headline}")
    lines += [t[given.action], *given.reasons]
    if report.summary is not None and report.shared:
        lines.append(report.summary.text)
    lines.append(f"{t['model_title']}: {report.model.name}, {report.model.bundle_id}")
    return lines


def _flag(report: CaseReport) -> str:
    """Abnormal where the answer is positive and no reader objects (table 0078); negative does not mean normal."""
    return "A" if report.shared and report.answer.action != "reject" and report.answer.positive else ""


def _device(report: CaseReport) -> str:
    """The model as equipment (EI): bundle and name."""
    return f"{_safe(report.model.bundle_id)}^{_safe(report.model.name[:_LONGEST_SPACE])}"


def _names(text: str) -> str:
    """A DICOM name as XPN, one repetition for each of its scripts.

    DICOM has family, given, middle, prefix, suffix (PS3.5, 6.2.1.1); XPN family, given, further, suffix, prefix.
    """
    made = []
    for group, script in zip(text.split("="), _GROUPS, strict=False):
        family, given, middle, prefix, suffix = ([_safe(part) for part in group.split("^")] + [""] * 5)[:5]
        if any((family, given, middle, prefix, suffix)):
            made.append(f"{family}^{given}^{middle}^{suffix}^{prefix}^^L^{script}")
    return "~".join(made)


def _own(code: str, name: str) -> str:
    return _coded(code, name, LOCAL)


def _coded(code: str, name: str, system: str) -> str:
    return f"{_safe(code)}^{_safe(name)}^{system}"


def _segment(name: str, *fields: str) -> str:
    return "|".join([name, *fields]).rstrip("|")


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%d%H%M%S}+0000"


def _digits(text: str, most: int) -> str:
    """A date or time of DICOM in whole seconds, "" for one that is none."""
    found = text.strip().partition(".")[0]
    return found[:most] if found.isascii() and found.isdecimal() and len(found) >= 4 else ""


def _lines(texts: Iterable[str]) -> list[str]:
    """Free text in lines that fit any receiver, cut at ends of sentences where that can be, without blank ones."""
    return [_safe(part) for text in texts for line in text.splitlines() for part in _rows(line)]


def _rows(line: str) -> Iterator[str]:
    row = ""
    for sentence in _SENTENCE_ENDS.split(line.strip()):
        if row and len(row) + 1 + len(sentence) > _LONGEST_LINE:
            yield from wrap(row, _LONGEST_LINE)
            row = ""
        row = f"{row} {sentence}".strip()
    yield from wrap(row, _LONGEST_LINE)


def _safe(text: str) -> str:
    """Text in which no character can end a field or a segment (HL7 v2.5.1, 2.7)."""
    return "".join(c if c.isprintable() else " " for c in text.strip()).translate(_ESCAPES)
