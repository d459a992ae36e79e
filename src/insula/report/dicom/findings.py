"""The measurement groups of a report (PS3.16 TID 1501): the answer, each class, each further answer, the review."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    ContentItem,
    ContentSequence,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    QualitativeEvaluation,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.sr.coding import Code

from insula.report.case import say
from insula.report.case.record import CaseReport, ClassRow, Further, Review
from insula.report.dicom import codes, text
from insula.scans.write import made_uid

Group = MeasurementsAndQualitativeEvaluations
_CONTAINS = "CONTAINS"
_PROPERTY = "HAS PROPERTIES"


def groups(
    report: CaseReport, slices: Iterable[SourceImageForMeasurementGroup], t: dict[str, str]
) -> Iterator[MeasurementsAndQualitativeEvaluations]:
    """All groups in the order in which they are read. report: as it may be shown. slices: those with most evidence.

    t: the report's texts in its language.
    """
    yield _answer(report, tuple(slices), t)
    for row in report.answer.classes:
        if math.isfinite(row.probability):
            yield _class(report, row, t)
    for further in report.further:
        made = _further(report, further, t)
        if made is not None:
            yield made
    if report.review is not None:
        yield _review(report, report.review, t)


def _answer(report: CaseReport, slices: tuple[SourceImageForMeasurementGroup, ...], t: dict[str, str]) -> Group:
    """What the policy made of the answer, with its reasons; of a rejected case no finding.

    `Finding` is for what stands: a label that the reader does not share stands under another name.
    """
    given = report.answer
    said = [QualitativeEvaluation(codes.DECISION, codes.ACTIONS[given.action])]
    if given.label and not report.shared:
        said.append(QualitativeEvaluation(codes.OVERRULED, codes.finding(given.label)))
    if given.positive is not None and given.finding:
        said.append(QualitativeEvaluation(codes.OUTCOME, codes.POSITIVE if given.positive else codes.NEGATIVE))
    numbers = [
        _measured(codes.CONFIDENCE, given.confidence),
        _measured(codes.DISTANCE, given.domain_score),
        _measured(codes.SET_LEVEL, given.set_level),
    ]
    group = MeasurementsAndQualitativeEvaluations(
        _tracked(report, "answer", t["answer"]),
        finding_type=codes.finding(given.label) if given.label and report.shared else None,
        algorithm_id=_algorithm(report),
        measurements=[one for one in numbers if one is not None],
        qualitative_evaluations=said,
        source_images=list(slices) or None,
    )
    over = t.get(given.spread_of, given.spread_of) if any(row.spread is not None for row in given.classes) else ""
    reasons = [_said(codes.REASON, reason) for reason in given.reasons]
    far = "" if given.domain_score is None else f"{t['domain']}: {t['domain_is']}"
    return _with(
        group, [*reasons, _said(codes.COMMENT, far), _said(codes.OVER, over), _said(codes.LIMITS, t["limits"])]
    )


def _class(report: CaseReport, row: ClassRow, t: dict[str, str]) -> Group:
    """One class: probability, its spread, its threshold, whether the prediction set holds it.

    It is no `Finding`, so that nobody takes an improbable class for one.
    """
    numbers = [
        _measured(codes.PROBABILITY, row.probability, row.spread),
        _measured(codes.THRESHOLD, row.threshold),
    ]
    said = [QualitativeEvaluation(codes.CLASS, codes.finding(row.name))]
    if report.answer.set_level is not None:
        said.append(QualitativeEvaluation(codes.IN_SET, codes.YES if row.in_set else codes.NO))
    return MeasurementsAndQualitativeEvaluations(
        _tracked(report, f"class {row.name}", f"{t['class']} {row.name}"),
        algorithm_id=_algorithm(report),
        measurements=[one for one in numbers if one is not None],
        qualitative_evaluations=said,
    )


def _further(report: CaseReport, answer: Further, t: dict[str, str]) -> Group | None:
    """The answer to a further target: each of its values under its own name; None where there is no number."""
    numbers = [
        _measured(codes.finding(say.further_name(answer, one.name, t)), one.value, one.spread) for one in answer.values
    ]
    found = [one for one in numbers if one is not None]
    if not found:
        return None
    said = [QualitativeEvaluation(codes.TARGET, codes.finding(answer.target))]
    if (best := say.most_probable(answer)) and report.shared:
        said.append(QualitativeEvaluation(codes.PROBABLE, codes.finding(best)))
    return MeasurementsAndQualitativeEvaluations(
        _tracked(report, f"further {answer.target}", f"{t['further']}: {answer.target}"),
        algorithm_id=_algorithm(report),
        measurements=found,
        qualitative_evaluations=said,
    )


def _review(report: CaseReport, review: Review, t: dict[str, str]) -> Group:
    """What a reader made of it. Who that was is in the observation context and among the verifying observers."""
    found = [codes.finding(one) for one in say.labels(review.label)]
    several = found if len(found) > 1 else []
    group = MeasurementsAndQualitativeEvaluations(
        _tracked(report, "review", t["review"]),
        finding_type=found[0] if found and not several else None,
        qualitative_evaluations=[
            QualitativeEvaluation(codes.VERDICT, codes.verdict(review.verdict)),
            *(QualitativeEvaluation(codes.FINDING, one) for one in several),
        ],
    )
    return _with(group, [_said(codes.COMMENT, review.comment)])


def evaluations(report: CaseReport, t: dict[str, str]) -> list[ContentItem]:
    """What is said of the whole: limits of use, question, who has read it, finding, decision, warnings, summary.

    Who has read it has the first word: where the reader does not share the model's finding, it is not repeated.
    """
    summary = report.summary.text if report.summary is not None else ""
    review, label = report.review, report.finding
    found = [
        _said(codes.LIMITS, f"{t['limits']} {t['limits_say']}"),
        _said(codes.QUESTION, report.question),
        CodeContentItem(codes.VERDICT, codes.verdict(review.verdict), _CONTAINS) if review is not None else None,
        *(CodeContentItem(codes.FINDING, codes.finding(one), _CONTAINS) for one in say.labels(label)),
        CodeContentItem(codes.DECISION, codes.ACTIONS[report.answer.action], _CONTAINS),
        *(_said(codes.WARNING, one) for one in say.warnings(report)),
        _said(codes.SUMMARY, summary if report.shared else ""),
    ]
    return [one for one in found if one is not None]


def _algorithm(report: CaseReport) -> AlgorithmIdentification:
    """Which model and program, in each group that they made (TID 4019)."""
    model = report.model
    return AlgorithmIdentification(
        name=text.printable(model.name) or "–",
        version=text.printable(f"{model.bundle_id} (Insula {model.insula})"),
        parameters=[f"encoder={text.printable(model.encoder)}"] if model.encoder else None,
        family=codes.INTELLIGENCE,
        manufacturer="Insula",
    )


def _tracked(report: CaseReport, key: str, said: str) -> TrackingIdentifier:
    return TrackingIdentifier(made_uid("tracked", report.id, text.printable(key)), text.long(said) or "–")


def _measured(name: Code, value: float | None, spread: float | None = None) -> Measurement | None:
    """A number as every form of the report has it; its standard deviation is a property of it (TID 300)."""
    if value is None or not math.isfinite(value):
        return None
    made = Measurement(name, say.rounded(value), codes.ONE)
    if spread is not None and math.isfinite(spread):
        drawn = NumContentItem(codes.DEVIATION, say.rounded(spread), codes.ONE, relationship_type=_PROPERTY)
        if "ContentSequence" not in made[0]:
            made[0].ContentSequence = ContentSequence()
        made[0].ContentSequence.append(drawn)
    return made


def _said(name: Code, said: str) -> TextContentItem | None:
    sound = text.printable(said)
    return TextContentItem(name, sound, _CONTAINS) if sound else None


def _with(group: Group, more: Iterable[ContentItem | None]) -> Group:
    """The group with items of text, which TID 1501 takes and highdicom's constructor does not."""
    group[0].ContentSequence.extend([one for one in more if one is not None])
    return group
