"""What a DICOM header says of one file, without its pixels."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian

from insula.core.errors import LimitError, ScanError
from insula.scans import attributes, behind, deflated, doubt, elements, items, preamble
from insula.scans.limits import LIMITS, Limits, file_size, reason

# pydicom would print odd header values on standard error; they may name a patient
logging.getLogger("pydicom").addHandler(logging.NullHandler())

INDEX, NO_PICTURE, LOCALISER, CAPTURE = "index of files", "no picture", "localiser", "screen capture"
NO_SIZE = "pixels without rows and columns"
_DIRECTORY = "1.2.840.10008.1.3.10"
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LOCALISER = re.compile(r"LOCALI[SZ]ER|SCOUT|SURVIEW|TOPOGRAM")
_UNDEFINED = 0xFFFFFFFF
_PIXELS = 0x7FE00010
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, _PIXELS)  # of float, double and other pixels
_ITEMS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # how the value of a sequence begins (PS3.5, 7.5)
_MAY_NEST = ("SQ", "UN", None)
_SCREEN = re.compile(r"SCREEN SAVE")
_NO_AGENT = re.compile(  # NON-CONTRAST is none; NON-IONIC is a kind of agent
    r"(?:NO|NONE|N|N/A|NIL|NOT|WITHOUT|W/?O|OHNE|NATIV|NATIVE|KEIN|UN-?ENHANCED|NON[ _-]?(?:CONTRAST|ENHANCED)|0)"
    r"(?:[ /_-].*)?",
    re.IGNORECASE,
)
# objects that have pixels and a place in the patient, but are made from a scan instead of being one
_MADE = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "radiation dose",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
}
# what tells apart the slices of one series that lie in one place, in the order in which it is asked
TRAITS = {
    "echo time": "EchoTime",
    "time point": "TemporalPositionIdentifier",
    "b-value": "DiffusionBValue",
    "inversion time": "InversionTime",
    "image type": "ImageType",
    "kernel": "ConvolutionKernel",
    "tube voltage": "KVP",
    "contrast agent": "ContrastBolusAgent",
    "trigger time": "TriggerTime",
    "acquisition": "AcquisitionNumber",
}
_TEXTS = {
    "patient_id": "PatientID",
    "sex": "PatientSex",
    "manufacturer": "Manufacturer",
    "scanner": "ManufacturerModelName",
    "station": "StationName",
    "institution": "InstitutionName",
    "body_part": "BodyPartExamined",
    "kernel": "ConvolutionKernel",
    "kvp": "KVP",
    "field_strength": "MagneticFieldStrength",
    "series_description": "SeriesDescription",
    "study_date": "StudyDate",
    "study_uid": "StudyInstanceUID",
    "series_uid": "SeriesInstanceUID",
    "sop_uid": "SOPInstanceUID",
    "frame_of_reference": "FrameOfReferenceUID",
}
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Header:
    """The facts of one file by which scans are grouped, ordered and refused.

    position: millimetres (LPS) of the first voxel's centre; orientation: direction cosines of a row and of a column;
    spacing: (between rows, between columns) in mm. None where the file does not say. traits: what may tell apart two
    slices in one place (echo time, time point, ...). preamble: what to warn of in the bytes before the header. doubts:
    attribute → what to warn of, where it is there and cannot be used. sizeless: whether there are pixels without rows
    and columns. end: what to warn of in the bytes behind the last element, of a file whose pixels were read.
    """

    path: Path
    modality: str
    sop_class: str
    image_type: str
    rows: int
    columns: int
    frames: int
    samples: int
    instance: int
    position: Triple | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    attributes: Mapping[str, str]
    traits: Mapping[str, str] = field(default_factory=dict)
    preamble: str = ""
    doubts: Mapping[str, str] = field(default_factory=dict)
    sizeless: bool = False
    end: str = ""

    @property
    def series_uid(self) -> str:
        """The series that the file belongs to."""
        return self.attributes.get("series_uid", "")

    @cached_property
    def aside(self) -> str:
        """What the file is instead of a slice of a scan (an index, a localiser, a screen capture), or ""."""
        if self.sop_class == _DIRECTORY:
            return INDEX
        if self.rows < 1 or self.columns < 1:
            return NO_SIZE if self.sizeless else NO_PICTURE
        if _LOCALISER.search(self.image_type.upper()):
            return LOCALISER
        if self.sop_class.startswith(_SECONDARY_CAPTURE) or _SCREEN.search(self.image_type.upper()):
            return CAPTURE
        return _MADE.get(self.sop_class, "")


def load(
    path: Path, limits: Limits = LIMITS, pixels: bool = True, later: bool = False, data: bytes | None = None
) -> Dataset:
    """The parsed file, with or without its pixel bytes.

    later: native pixels may stay in the file; the dataset fetches them when it is asked for them. data: the bytes of a
    file that lies nowhere; `path` then only names it in messages.
    Raises ScanError for anything that is no DICOM picture, LimitError for a file that inflates or nests too far.
    """
    if data is None:
        file_size(path, limits)
    try:
        with path.open("rb") if data is None else io.BytesIO(data) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings quote header values
            items.check(stream, path.name, limits)
            which: elements.Pixels = "later" if later and pixels else "now" if pixels else "never"
            spare: list[int] = []
            dataset = elements.parse(
                stream, str(path), which, lambda packed: b"".join(deflated.blocks(packed, path.name, limits, spare))
            )
            if dataset is None:
                dataset = _forgiven(stream, path.name, pixels, limits, spare)
            if spare and pixels:
                dataset.insula_end = behind.LONGER
            depth = _depth(dataset, limits.max_nesting, path.name)
    except ScanError:
        raise
    except RecursionError as error:
        raise LimitError(f"'{path.name}' nests its sequences too deep; it is no ordinary scan.") from error
    except Exception as error:  # broad: on damaged files pydicom raises at least eight families of exceptions
        raise ScanError(f"'{path.name}' is no readable DICOM file ({reason(error)}); export it again.") from error
    if depth > limits.max_nesting:
        raise LimitError(f"'{path.name}' nests sequences deeper than {limits.max_nesting}; it is no ordinary scan.")
    return dataset


def _forgiven(stream: BinaryIO, name: str, pixels: bool, limits: Limits, spare: list[int]) -> Dataset:
    """What pydicom makes of a file; spare gets the number of bytes at its end that are no element."""
    stream.seek(0)
    deflated.check(stream, name, limits, spare)
    stream.seek(0)
    noticed = behind.Noticed(stream)
    dataset = read_partial(noticed.as_stream(), _stop(not pixels, name, limits), force=True)
    padded = dataset.get_item(BaseTag(0))  # zeros are empty elements to pydicom
    spare += [noticed.rest] if noticed.rest else []
    spare += [8] if padded is not None and not padded.value else []
    return dataset


def _stop(at_pixels: bool, name: str, limits: Limits) -> Callable[[BaseTag, str | None, int], bool]:
    """When parsing ends: at the pixels, where asked to; LimitError for more elements than a scan has.

    A stretch of zeros is millions of empty elements to pydicom.
    """
    count = 0

    def stop(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal count
        count += 1
        if count > limits.max_elements:
            raise LimitError(
                f"'{name}' holds more than {limits.max_elements} elements; it is no ordinary scan or has been padded, "
                "export it again."
            )
        return at_pixels and tag in _PIXEL_TAGS

    return stop


def read(path: Path, limits: Limits = LIMITS) -> Header:
    """The header of one file, its pixels not read. Raises ScanError and LimitError as `load`."""
    found = facts(load(path, limits, pixels=False), path)
    if found.aside == NO_PICTURE:  # unless there are pixels behind the place where that reading stopped
        return facts(load(path, limits, later=True), path)
    return found


def facts(dataset: Dataset, path: Path) -> Header:
    """The header's facts, out of a parsed file.

    A file without a picture or an index (DICOMDIR) says so in `aside`. Raises ScanError for a damaged header.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in load
            return _facts(dataset, path)
    except ScanError:
        raise
    except Exception as error:  # broad: pydicom converts values when they are asked for, and raises anything
        raise ScanError(f"'{path.name}' has a damaged DICOM header ({reason(error)}); export it again.") from error


def is_deflated(dataset: Dataset) -> bool:
    """Whether the file had to be inflated, which takes much longer than all the rest."""
    meta = getattr(dataset, "file_meta", None)
    return meta is not None and attributes.text(meta, "TransferSyntaxUID") == DeflatedExplicitVRLittleEndian


def names_no_agent(text: str) -> bool:
    """Whether what a header has for the contrast agent says that there was none."""
    return _NO_AGENT.fullmatch(text.strip()) is not None


def _facts(dataset: Dataset, path: Path) -> Header:
    meta = getattr(dataset, "file_meta", None)
    stored = attributes.text(meta, "MediaStorageSOPClassUID") if meta is not None else ""
    sop_class = attributes.text(dataset, "SOPClassUID") or stored
    if attributes.present(dataset, "DirectoryRecordSequence"):
        sop_class = _DIRECTORY
    said = {key: value for key, name in _TEXTS.items() if (value := attributes.text(dataset, name))}
    if age := _years(attributes.text(dataset, "PatientAge")):
        said["age"] = age
    if agent := attributes.text(dataset, "ContrastBolusAgent"):  # free text: only whether there is one is kept
        said["contrast"] = "no" if names_no_agent(agent) else "yes"
    rows, columns = attributes.integer(dataset, "Rows", 0), attributes.integer(dataset, "Columns", 0)
    place = _frame_group(dataset)
    own = doubt.lengths(attributes.numbers(place, "PixelSpacing", 2))
    spacing = own or doubt.lengths(attributes.numbers(dataset, "ImagerPixelSpacing", 2))
    thickness = doubt.lengths(attributes.numbers(place, "SliceThickness", 1))
    position, pose = triple(attributes.numbers(place, "ImagePositionPatient", 3)), orientation(place)
    usable = {
        "PixelSpacing": own,
        "ImagePositionPatient": position,
        "ImageOrientationPatient": pose,
        "SliceThickness": thickness or attributes.numbers(place, "SliceThickness", 1) == (0.0,),  # 0: not known
    }
    doubts = {name: why for name, good in usable.items() if not good and (why := doubt.unusable(place, name))}
    return Header(
        path=path,
        modality=attributes.text(dataset, "Modality"),
        sop_class=sop_class,
        image_type=attributes.text(dataset, "ImageType"),
        rows=rows,
        columns=columns,
        frames=attributes.integer(dataset, "NumberOfFrames", 1),
        samples=attributes.integer(dataset, "SamplesPerPixel", 1),
        instance=attributes.integer(dataset, "InstanceNumber", 0),
        position=position,
        orientation=pose,
        spacing=(spacing[0], spacing[1]) if spacing else None,
        thickness=thickness[0] if thickness else None,
        attributes=said,
        traits={name: value for name, tag in TRAITS.items() if (value := attributes.text(dataset, tag))},
        preamble=preamble.note(bytes(getattr(dataset, "preamble", None) or b"") + b"DICM"),
        doubts=doubts,
        end=getattr(dataset, "insula_end", ""),
        sizeless=(rows < 1 or columns < 1) and any(tag in dataset for tag in _PIXEL_TAGS),
    )


def _frame_group(dataset: Dataset) -> Dataset:
    """Where position, orientation and spacing stand: the file itself, or an enhanced file's first functional groups."""
    found = [attributes.value(dataset, f"{kind}FunctionalGroupsSequence") for kind in ("Shared", "PerFrame")]
    if not any(found):
        return dataset
    merged = Dataset()
    for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        if name in dataset:
            merged[name] = dataset[name]
    for groups in found:
        if not groups:
            continue
        for part in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence"):
            inner = groups[0].get(part)
            if inner:
                merged.update(inner[0])
    return merged


def orientation(place: Dataset) -> tuple[float, ...] | None:
    """Direction cosines of a row and of a column, made unit vectors; None where the file gives no such pair."""
    cosines = attributes.numbers(place, "ImageOrientationPatient", 6)
    return None if cosines is None else _unit(cosines)


@lru_cache(maxsize=256)
def _unit(cosines: tuple[float, ...]) -> tuple[float, ...] | None:
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if abs(lengths[0] - 1) > 0.05 or abs(lengths[1] - 1) > 0.05 or abs(row @ column) > 0.05:
        return None  # no two perpendicular unit vectors: such a header says nothing of where left is
    return tuple(float(v) for v in (*(row / lengths[0]), *(column / lengths[1])))


def triple(values: tuple[float, ...] | None) -> Triple | None:
    """Three numbers as a point, None where there are none."""
    return (values[0], values[1], values[2]) if values else None


def _years(age: str) -> str:
    """PS3.5, 6.2, AS: three digits and D, W, M or Y; in years."""
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", age)
    if not match:
        return ""
    years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1, "": 1}[match[2]]
    return f"{years:.2f}".rstrip("0").rstrip(".")


def _depth(dataset: Dataset, most: int, name: str) -> int:
    """Depth of the sequences, found without recursion and not beyond `most` + 1: each is parsed one level deep.

    Raises ScanError for an element that promises more bytes than the file holds.
    """
    level: list[Dataset] = [dataset]
    for depth in range(most + 2):
        below: list[Dataset] = []
        for item in level:
            for tag, element in list(item.items()):
                if isinstance(element, RawDataElement):
                    value, length = element.value, element.length  # no value: `elements` found it whole in the file
                    if value is not None and length != _UNDEFINED and len(value) < length:
                        what = "of pixels" if tag == _PIXELS else f"in the element {tag}"
                        raise ScanError(
                            f"'{name}' holds {len(value)} bytes {what} and its header promises {length}; "
                            "the file is cut short, copy it again."
                        )
                    if element.VR not in _MAY_NEST or (value or b"")[:4] not in _ITEMS:
                        continue
                    element = item[tag]  # parses this one sequence, and what lies in it stays raw
                if element.VR == "SQ":
                    below.extend(item for item in element.value or () if isinstance(item, Dataset))
        if not below:
            return depth
        level = below
    return most + 1
