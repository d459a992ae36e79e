"""The structured report: a Comprehensive 3D SR after PS3.16 TID 1500, Imaging Measurement Report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from highdicom.sr import (
    CodedConcept,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    SourceImageForMeasurementGroup,
)
from pydicom.dataset import Dataset, FileDataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from insula.report.case.record import Review, as_shown
from insula.report.case.texts import texts
from insula.report.dicom import codes, common, findings, header, text
from insula.report.dicom.library import library
from insula.report.dicom.result import Result
from insula.scans.write import made_uid

SERIES: Final = common.Series("report")
_LANGUAGES: Final = {"en": Code("en", "RFC5646", "English"), "tr": Code("tr", "RFC5646", "Turkish")}
_UNNAMED: Final = "–"


def structured(result: Result, sources: Sequence[header.Source]) -> FileDataset:
    """The report, complete and, once a reader stands for it, final and verified; preliminary until then.

    sources: all series that the answer rests on; it stands in the study of the first. Of a rejected case nothing is in
    it that could be read as an answer. Raises UsageError for a language that reports do not speak.
    """
    report = as_shown(result.report)
    t = texts(report.language)
    review = report.review
    slices = () if report.answer.action == "reject" else _slices(sources)  # a rejected case shows nothing
    content = MeasurementReport(
        observation_context=_observed(result, review),
        procedure_reported=list(dict.fromkeys(_procedure(source) for source in sources)),
        imaging_measurements=list(findings.groups(report, slices, t)),
        title=standard.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(
            CodedConcept.from_code(_LANGUAGES[report.language])
        ),
    )
    root = content[0]
    measured = root.ContentSequence.pop()
    root.ContentSequence.append(library([source.headers for source in sources]))
    root.ContentSequence.append(measured)
    said = ContainerContentItem(codes.QUALITATIVE, relationship_type="CONTAINS")
    said.ContentSequence = ContentSequence(findings.evaluations(report, t))
    root.ContentSequence.append(said)
    made = Comprehensive3DSR(
        evidence=[one for source in sources for one in source.headers],
        content=content,
        is_complete=True,
        is_final=report.decided,
        previous_versions=list(result.earlier) or None,
        **_verified(result, review, sources[0].first),
        **common.named(result, SERIES, "report"),
    )
    if review is not None and "VerifyingObserverSequence" in made:
        made.VerifyingObserverSequence[0].VerificationDateTime = f"{common.moment(review.at, sources[0]):%Y%m%d%H%M%S}"
    return common.finished(made, result, sources[0])


def _observed(result: Result, review: Review | None) -> ObservationContext:
    """Who looked: the model as a device (TID 1004), and the reader who signed (TID 1003)."""
    model = result.report.model
    device = DeviceObserverIdentifyingAttributes(
        uid=made_uid("device", model.bundle_id),
        name=text.printable(model.name) or _UNNAMED,
        manufacturer_name=common.MAKER,
        model_name=text.printable(f"{common.MAKER} {model.insula}"),
        serial_number=text.printable(model.bundle_id) or _UNNAMED,
    )
    person = None
    if review is not None:
        attributes = PersonObserverIdentifyingAttributes(text.person(*review.name_parts) or f"{_UNNAMED}^")
        person = ObserverContext(standard.DCM.Person, attributes)
    return ObservationContext(person, ObserverContext(standard.DCM.Device, device))


def _verified(result: Result, review: Review | None, first: Dataset) -> dict[str, Any]:
    """Who stands for the report (PS3.3 C.17.2): the reader, where the review decides."""
    institution = text.long(result.institution or str(first.get("InstitutionName", "") or ""))
    if review is None or not common.verified(result.report):
        return {"institution_name": institution or None}
    return {
        "institution_name": institution or None,
        "is_verified": True,
        "verifying_observer_name": text.person(*review.name_parts),
        "verifying_organization": institution or _UNNAMED,
    }


def _procedure(source: header.Source) -> Code:
    modality, part = (str(source.first.get(name, "") or "") for name in ("Modality", "BodyPartExamined"))
    return codes.procedure(modality, part.upper())


def _slices(sources: Sequence[header.Source]) -> Iterator[SourceImageForMeasurementGroup]:
    """The slices that are shown with the answer."""
    for source in sources:
        known = header.frames(source.headers)
        for number in source.series.captured:
            one, frame = known[number]
            frames = None if frame is None else [frame]
            yield SourceImageForMeasurementGroup(one.SOPClassUID, one.SOPInstanceUID, frames)
