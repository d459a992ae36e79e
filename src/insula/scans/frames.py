"""Where each frame of a file lies and how its numbers are meant, for classic and for enhanced objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

import numpy as np
from pydicom.dataset import Dataset

from insula.core.errors import ScanError
from insula.scans import attributes, doubt, header
from insula.scans.header import Header, Triple

# trait → (functional group, attribute) of an enhanced object (PS3.3, C.7.6.16, C.8.13, C.8.15)
_TRAITS = {
    "stack": ("FrameContentSequence", "StackID"),
    "echo time": ("MREchoSequence", "EffectiveEchoTime"),
    "time point": ("FrameContentSequence", "TemporalPositionIndex"),
    "b-value": ("MRDiffusionSequence", "DiffusionBValue"),
    "inversion time": ("MRModifierSequence", "InversionTimes"),
    "part of the number": ("MRImageFrameTypeSequence", "ComplexImageComponent"),
    "MR image type": ("MRImageFrameTypeSequence", "FrameType"),
    "CT image type": ("CTImageFrameTypeSequence", "FrameType"),
    "kernel": ("CTReconstructionSequence", "ConvolutionKernel"),
    "tube voltage": ("CTXRayDetailsSequence", "KVP"),
    "trigger time": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    "acquisition": ("FrameContentSequence", "FrameAcquisitionNumber"),
}


@dataclass(frozen=True)
class Frame:
    """One picture of a file: its place (mm, LPS) where the file gives it, its rescale, its window, and its traits.

    kind: the unit of the rescaled values as RescaleType gives it, None where there is no rescale.
    """

    position: Triple | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    kind: str | None
    window: tuple[float, float] | None
    traits: Mapping[str, str] = field(default_factory=dict)


def of(dataset: Dataset, facts: Header) -> tuple[Frame, ...]:
    """One Frame for each frame of a file.

    Positions come from an enhanced object's functional groups (PS3.3, C.7.6.16), a grid's frame offsets (C.8.8.3.2)
    or, for a single frame, from the header itself. Raises ScanError when the file describes another number of frames
    than it holds, or rescales by numbers that lose the values.
    """
    shared = attributes.value(dataset, "SharedFunctionalGroupsSequence") or ()
    each = attributes.value(dataset, "PerFrameFunctionalGroupsSequence") or ()
    if not each and not shared:
        return _classic(dataset, facts)
    if each and len(each) != facts.frames:
        raise ScanError(
            f"'{facts.path.name}' holds {facts.frames} frame{'s' if facts.frames != 1 else ''} and describes "
            f"{len(each)}; export it again."
        )
    common = shared[0] if shared else Dataset()
    made = [_frame(dataset, facts, group, common) for group in each or [Dataset()] * facts.frames]
    if facts.frames > 1 and len({f.position for f in made}) == 1:  # one place for all is a place for none
        made = [replace(f, position=None, orientation=None) for f in made]
    return tuple(made)


def _classic(dataset: Dataset, facts: Header) -> tuple[Frame, ...]:
    slope, intercept, kind = _rescale(dataset, dataset, facts)
    positions: list[Triple | None] = [facts.position]
    if facts.frames > 1:
        positions = _grid(dataset, facts) or [None] * facts.frames
    return tuple(
        Frame(
            place,
            facts.orientation,
            facts.spacing,
            facts.thickness,
            slope,
            intercept,
            kind,
            _window(dataset),
            facts.traits,
        )
        for place in positions
    )


def _grid(dataset: Dataset, facts: Header) -> list[Triple | None]:
    """Positions by GridFrameOffsetVector: relative to the first frame where it begins with 0, else coordinates."""
    offsets = attributes.numbers(dataset, "GridFrameOffsetVector", facts.frames)
    if offsets is None or facts.position is None or facts.orientation is None:
        return []
    start = np.array(facts.position)
    normal = np.cross(facts.orientation[:3], facts.orientation[3:])
    shift = 0.0 if offsets[0] == 0 else float(start @ normal)
    points = [start + normal * (offset - shift) for offset in offsets]
    return [(float(p[0]), float(p[1]), float(p[2])) for p in points]


def _frame(dataset: Dataset, facts: Header, own: Dataset, common: Dataset) -> Frame:
    plane = _group(own, common, "PlanePositionSequence")
    pose = _group(own, common, "PlaneOrientationSequence")
    measures = _group(own, common, "PixelMeasuresSequence")
    spacing = doubt.lengths(attributes.numbers(measures, "PixelSpacing", 2))
    thickness = doubt.lengths(attributes.numbers(measures, "SliceThickness", 1))
    slope, intercept, kind = _rescale(_group(own, common, "PixelValueTransformationSequence"), dataset, facts)
    return Frame(
        position=header.triple(attributes.numbers(plane, "ImagePositionPatient", 3)),
        orientation=header.orientation(pose) or facts.orientation,
        spacing=(spacing[0], spacing[1]) if spacing else facts.spacing,
        thickness=thickness[0] if thickness else facts.thickness,
        slope=slope,
        intercept=intercept,
        kind=kind,
        window=_window(_group(own, common, "FrameVOILUTSequence")) or _window(dataset),
        traits={
            name: value
            for name, (sequence, attribute) in _TRAITS.items()
            if (value := attributes.text(_group(own, common, sequence), attribute))
        },
    )


def _group(own: Dataset, common: Dataset, name: str) -> Dataset:
    """A functional group of one frame: its own, or the one that all frames share."""
    for place in (own, common):
        inner = attributes.value(place, name)
        if inner:
            found: Dataset = inner[0]
            return found
    return Dataset()


def _rescale(source: Dataset, dataset: Dataset, facts: Header) -> tuple[float, float, str | None]:
    """Slope, intercept and the kind of the values (PS3.3, C.11.1 and C.7.6.16.2.9); dose grids by their scaling."""
    if attributes.value(source, "RescaleIntercept") is None:
        source = dataset
    if attributes.value(source, "RescaleIntercept") is None:
        scaling = attributes.numbers(dataset, "DoseGridScaling", 1)
        return (scaling[0], 0.0, "DOSE") if scaling and scaling[0] > 0 else (1.0, 0.0, None)
    slopes = attributes.numbers(source, "RescaleSlope", 1)
    intercepts = attributes.numbers(source, "RescaleIntercept", 1)
    slope, intercept = slopes[0] if slopes else 1.0, intercepts[0] if intercepts else float("nan")
    if not (isfinite(slope) and isfinite(intercept)) or slope == 0.0:
        raise ScanError(
            f"'{facts.path.name}' rescales by {slope}, {intercept}, which loses the values; export it again."
        )
    return slope, intercept, attributes.text(source, "RescaleType").upper() or "HU"


def _window(source: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window, None where there is none that shows anything."""
    centre, width = attributes.numbers(source, "WindowCenter", 1), attributes.numbers(source, "WindowWidth", 1)
    return (centre[0], width[0]) if centre and width and width[0] > 0 else None
