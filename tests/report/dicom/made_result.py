"""Made results: a tilted head CT of nobody, with one warm spot on the patient's left, as the writers are given it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage
from tests.report.case.made_case import case

from insula.core.types import FloatArray
from insula.report.case.record import Review
from insula.report.dicom.make import make
from insula.report.dicom.result import Heat, Made, Object, Result, SourceSeries
from insula.scans.write import made_uid, write_ct_series

STUDY = made_uid("study of a result")
SLICES, ROWS, COLUMNS = 5, 96, 80
NAME = "İğüşçö^Işıl=王^小明"
TOP = 0.8
AT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)


def headers(folder: Path, **changes: Any) -> tuple[Dataset, ...]:
    """A tilted head CT's headers as read from files. changes: of attributes, None for one that is not there."""
    known: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": NAME,
        "PatientID": "İ-0042",
        "PatientBirthDate": "19510203",
        "PatientSex": "F",
        "StudyDate": "20261125",
        "StudyTime": "101112.5",
        "StudyID": "7",
        "AccessionNumber": "A-17",
        "StudyDescription": "Beyin BT",
        "ReferringPhysicianName": "Öz^Ayşe",
        "InstitutionName": "Hastane",
        "BodyPartExamined": "HEAD",
        "TimezoneOffsetFromUTC": "+0300",
        "Manufacturer": "GE MEDICAL SYSTEMS",
        "ManufacturerModelName": "Scanner",
        "PatientPosition": "HFS",
    }
    hu = np.zeros((SLICES, ROWS, COLUMNS), np.float32)
    names = [f"{n}.dcm" for n in range(SLICES)]
    series = made_uid("series of a result")
    write_ct_series(hu, affine(), folder, names, (STUDY, series), {k: v for k, v in known.items() if v is not None})
    read = tuple(pydicom.dcmread(folder / name, stop_before_pixels=True) for name in names)
    for one in read:
        for keyword, value in changes.items():
            if value is None:
                one.pop(keyword, None)
            else:
                setattr(one, keyword, value)
    return read


def affine() -> NDArray[np.float64]:
    """Voxel (x, y, z) → mm LPS: rows run to the patient's left, slices five millimetres apart, the gantry tilted."""
    found = np.eye(4)
    found[0, 0], found[1, 1] = 0.5, 0.45
    found[1:3, 2] = -1.0, 4.9
    found[:3, 3] = -20.0, -22.0, 100.0
    return found


def plane(number: int) -> FloatArray:
    """Heat of a slice: strongest on the third, right in the picture (the patient's left), below 0 outside."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    spot = np.exp(-(((x - 58) / 9) ** 2) - ((y - 40) / 9) ** 2)
    return np.asarray(spot * (TOP if number == 2 else 0.3 if number == 3 else 0.0) - 0.01, np.float32)


def picture(number: int) -> NDArray[np.uint8]:
    """The windowed slice: a ramp that is another one in each slice."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    return np.asarray((x * 2 + y + number * 7) % 200, np.uint8)


def result(folder: Path, **changes: Any) -> Result:
    """An accepted haemorrhage with heat on one series."""
    series = SourceSeries("ct", headers(folder), picture, (2, 3))
    heat = Heat("ct", "any", plane, TOP - 0.01, True)
    return replace(Result("3f0c9a52d7e14b0f8f6a1f2f3f0c9a52", case(), (series,), (heat,), b"%PDF-1.7 made"), **changes)


def made_of(given: Result, *kinds: Object) -> tuple[Made, ...]:
    """The objects of the kinds named."""
    return tuple(make(given, kinds))


def reviewed(verdict: str = "override") -> Review:
    """A review in three scripts."""
    return Review(verdict, "Dr. Ayşe Yılmaz 王", AT, "subdural", "Menenjiyom olabilir;\nİzlem önerilir.")


def enhanced(folder: Path) -> Dataset:
    """The same slices as frames of one header."""
    one = headers(folder)
    whole = Dataset()
    whole.update(one[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del whole[keyword]
    whole.SOPClassUID, whole.SOPInstanceUID = EnhancedCTImageStorage, made_uid("frames of a result")
    whole.NumberOfFrames = len(one)
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = one[0].PixelSpacing, one[0].SliceThickness
    orientation.ImageOrientationPatient = one[0].ImageOrientationPatient
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    whole.SharedFunctionalGroupsSequence = [shared]
    whole.PerFrameFunctionalGroupsSequence = [_frame(header) for header in one]
    return whole


def _frame(header: Dataset) -> Dataset:
    frame, position = Dataset(), Dataset()
    position.ImagePositionPatient = header.ImagePositionPatient
    frame.PlanePositionSequence = [position]
    return frame
