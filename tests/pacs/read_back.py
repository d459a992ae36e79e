"""What Orthanc shows of a study, and whether it is what Insula made: identity, pixels, text and places."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, FileDataset
from pydicom.uid import ParametricMapStorage, SegmentationStorage
from tests.pacs.orthanc import Orthanc
from tests.pacs.site import Hospital

from insula.serve.store import schema

Objects = Mapping[str, FileDataset]
_IDENTITY = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "StudyDate", "AccessionNumber")


def shown(orthanc: Orthanc, study_uid: str) -> dict[str, FileDataset]:
    """SOP Instance UID → every object that Orthanc has in a study, as it is read back from there."""
    found = {}
    for study in orthanc.get("/studies?expand"):
        if study["MainDicomTags"]["StudyInstanceUID"] == study_uid:
            for one in orthanc.get(f"/studies/{study['ID']}/instances"):
                dataset = pydicom.dcmread(BytesIO(orthanc.file(f"/instances/{one['ID']}/file")))
                found[str(dataset.SOPInstanceUID)] = dataset
    return found


def of_class(objects: Objects, *classes: str) -> list[FileDataset]:
    """The objects of some SOP classes."""
    return [one for one in objects.values() if one.SOPClassUID in classes]


def words(dataset: Dataset) -> list[tuple[str, str]]:
    """What a structured report says: each item's concept and its value, in order; nothing of other objects."""
    found = []
    for item in dataset.get("ContentSequence", ()):
        name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
        value = item.get("TextValue", item.get("PersonName", item.get("UID", "")))
        if "ConceptCodeSequence" in item:
            value = item.ConceptCodeSequence[0].CodeMeaning
        if "MeasuredValueSequence" in item:
            value = item.MeasuredValueSequence[0].NumericValue
        if "ReferencedSOPSequence" in item:
            value = item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        found += [(str(name), str(value)), *words(item)]
    return found


def hottest(found: Dataset) -> tuple[NDArray[np.float64], int]:
    """Where in the patient (LPS, mm) the middle of the hot part of a parametric map lies, and its hottest frame."""
    values = found.pixel_array.astype(float)
    shared = found.SharedFunctionalGroupsSequence[0]
    row, column = np.split(np.asarray(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float), 2)
    down, across = (float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing)
    starts = np.asarray(
        [one.PlanePositionSequence[0].ImagePositionPatient for one in found.PerFrameFunctionalGroupsSequence], float
    )
    frame, y, x = np.nonzero(values > 0.5 * values.max())
    places = starts[frame] + x[:, None] * across * row + y[:, None] * down * column
    return places.mean(axis=0), int(values.max(axis=(1, 2)).argmax())


def preview(orthanc: Orthanc, dataset: Dataset, frame: int = 0) -> NDArray[Any]:
    """What Orthanc shows of a frame of an object."""
    answer = httpx.post(f"{orthanc.http}/tools/lookup", content=str(dataset.SOPInstanceUID), timeout=30)
    (found,) = answer.raise_for_status().json()
    picture = orthanc.file(f"{found['Path']}/frames/{frame}/preview")
    return np.asarray(Image.open(BytesIO(picture)))


def check_in_its_study(objects: Objects, source: Dataset, results: int) -> None:
    """All that came back stands in the study of the scan, as the same patient's, and says what it is."""
    made = [one for one in objects.values() if one.SOPClassUID != source.SOPClassUID]
    assert len(made) == results
    for one in made:
        for name in _IDENTITY:
            assert str(one.get(name, "")) == str(source.get(name, "")), (one.SOPClassUID.name, name)
        assert "research use only" in one.SeriesDescription.lower()
        assert one.SeriesInstanceUID != source.SeriesInstanceUID
    for one in of_class(objects, ParametricMapStorage, SegmentationStorage):
        assert one.FrameOfReferenceUID == source.FrameOfReferenceUID


def check_equal(site: Hospital, objects: Objects, prediction: str) -> None:
    """Pixels, text and paper are those that Insula has made and keeps, each object once."""
    kept = [row for row in site.rows(schema.pacs_objects) if row.prediction_id == prediction]
    assert kept
    for row in kept:
        ours = pydicom.dcmread(BytesIO(site.live.made.service.files.get(row.sha256)))
        theirs = objects[row.sop_instance_uid]
        assert set(ours.keys()) <= set(theirs.keys())
        assert words(theirs) == words(ours)
        assert theirs.get("EncapsulatedDocument") == ours.get("EncapsulatedDocument")
        if "PixelData" in ours:
            np.testing.assert_array_equal(theirs.pixel_array, ours.pixel_array)
