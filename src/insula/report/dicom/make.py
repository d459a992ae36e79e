"""All DICOM objects of one answer."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from insula.core.errors import MissingPartError, UsageError
from insula.report.dicom import header
from insula.report.dicom.result import Made, Object, Result


def make(result: Result, kinds: Collection[Object]) -> Iterator[Made]:
    """The objects of the kinds asked for, one after the other, so that only one is in memory at a time.

    They stand in the study of the first series; captures, maps and regions in that of their own. Of a rejected case
    there are the report and the PDF alone. What a result has not got (heat, a PDF, the place of the slices in the
    patient) gives no object. Raises MissingPartError without the extra `pacs`, and UsageError for a result without
    headers, for slices to be captured that it has not got, and for a report in a language that it does not speak.
    """
    try:
        import highdicom  # noqa: F401  what needs it is imported below, for its start is slow
    except ImportError as error:
        raise MissingPartError("The package highdicom is missing; run: pip install 'insula[pacs]'.") from error
    if not result.series or not all(one.headers for one in result.series):
        raise UsageError("A result without headers of its series gives no objects; hand over each series' headers.")
    for one in result.series:
        count = len(header.frames(one.headers))
        if any(not 0 <= number < count for number in one.captured):
            raise UsageError(f"The series '{one.role}' has {count} slices, counted from 0; capture only those.")
    return _made(result, kinds)


def _made(result: Result, kinds: Collection[Object]) -> Iterator[Made]:
    from insula.report.dicom import capture, encapsulated, parametric, region, structured

    sources = [header.source(one) for one in result.series]
    if "report" in kinds:
        yield Made("report", structured.structured(result, sources))
    if "pdf" in kinds and result.pdf is not None:
        yield Made("pdf", encapsulated.encapsulated(result, result.pdf, sources))
    if result.report.answer.action == "reject":
        return
    by_role = {source.series.role: source for source in sources}
    for order, heat in enumerate(heat for heat in result.heat if heat.role in by_role and heat.top > 0):
        source = by_role[heat.role]
        if "capture" in kinds:
            for one in capture.captures(result, source, heat, order):
                yield Made("capture", one)
        if "map" in kinds and (found := parametric.parametric(result, source, heat, order)) is not None:
            yield Made("map", found)
        if "region" in kinds and (found := region.region(result, source, heat, order)) is not None:
            yield Made("region", found)
