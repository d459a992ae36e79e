"""The region above a level of heat as a segmentation (PS3.3 A.51): a region that was marked, not a lesion's outline."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian

from insula.report.dicom import codes, common, header, places, text
from insula.report.dicom.result import Heat, Result


def region(result: Result, source: header.Source, heat: Heat, order: int) -> FileDataset | None:
    """The pixels whose heat is at least `level` times `top`, on the slices that have any; None where there is none.

    None, too, where the answer is that the finding is not there: a region that is marked would say that it is.
    """
    kept = places.stack(source.headers)
    if not heat.present or not kept or heat.top <= 0:
        return None
    edge = heat.top * heat.level
    hot = {number: mask for number in kept if (mask := np.asarray(heat.plane(number), np.float32) >= edge).any()}
    if not hot:
        return None
    model = result.report.model
    shown = tuple(hot) if len(source.headers) > 1 else kept  # of one header, highdicom wants all frames
    nothing = np.zeros_like(next(iter(hot.values())))
    series = common.Series("region", heat.role, heat.finding, order)
    algorithm = AlgorithmIdentificationSequence(
        name=text.long(model.name) or common.MAKER,
        family=codes.INTELLIGENCE,
        version=text.long(f"{model.bundle_id[:16]} (Insula {model.insula})"),
        source=common.MAKER,
        parameters={"level": f"{heat.level:g} of {heat.top:.6g} {heat.unit}"},
    )
    described = SegmentDescription(
        segment_number=1,
        segment_label=text.long(f"Heat for {heat.finding}"),
        segmented_property_category=codes.SPATIAL,
        segmented_property_type=codes.SELECTED,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=common.uid(result, series, "tracked"),
        tracking_id=text.long(f"Heat for {heat.finding}"),
    )
    made = Segmentation(
        source_images=places.images(source, shown),
        pixel_array=np.stack([hot.get(number, nothing) for number in shown]),
        pixel_measures=places.measures(source, kept),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        omit_empty_frames=True,
        content_label="HEAT",
        content_description=text.long(f"Heat of at least {heat.level:g} of its top for {heat.finding}"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        **common.named(result, series, f"hot region {heat.finding}"),
    )
    places.framed(made, source, common.uid(result, series, "dimensions"))
    return common.finished(made, result, source, own_terms=False)
