"""From a scanner to Insula to the archive: a real Orthanc shows report, pictures and map in the patient's own study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from tests.browser import made_scans
from tests.browser.pictures import head_of, sides
from tests.pacs.orthanc import AE, Orthanc
from tests.pacs.read_back import check_equal, check_in_its_study, hottest, of_class, preview, shown, words
from tests.pacs.site import Hospital, sent, storescu

from insula.serve.store import schema

pytestmark = pytest.mark.pacs
REAL = Path(__file__).parents[3] / "shared" / "data" / "ct_dicom" / "In" / "GE"


@pytest.mark.parametrize("flipped", [False, True])
def test_a_scan_comes_in_and_its_answer_stands_beside_it(
    site: Hospital, orthanc: Orthanc, tmp_path: Path, flipped: bool
) -> None:
    files = made_scans.write(tmp_path, f"ROUND-{flipped}", flipped=flipped)
    source = pydicom.dcmread(files[0])
    storescu(orthanc.dicom, AE, files)
    storescu(site.port, "INSULA", files)
    delivery = sent(site, source.StudyInstanceUID)
    assert len(orthanc.get("/studies")) == 1
    objects = shown(orthanc, source.StudyInstanceUID)
    check_in_its_study(objects, source, delivery.objects)
    check_equal(site, objects, delivery.prediction_id)

    (report,) = of_class(objects, Comprehensive3DSRStorage)
    said = words(report)
    (row,) = (row for row in site.rows(schema.predictions) if row.id == delivery.prediction_id)
    told = [float(value) for name, value in said if name == "Probability"]
    assert sum(abs(value - row.answer["probabilities"]["haemorrhage"]) < 1e-5 for value in told) == 1
    assert any("esearch use only" in value for _, value in said)
    assert {value for _, value in said} >= {str(pydicom.dcmread(path).SOPInstanceUID) for path in files}

    (heat,) = of_class(objects, ParametricMapStorage)
    place, frame = hottest(heat)
    assert place[0] < -10.0, "the blood is in the patient's right half, where x of LPS is below 0"
    assert 10.0 <= place[2] <= 25.0, "on the slices that hold it"
    assert np.ptp(preview(orthanc, heat, frame)) > 0
    captures = of_class(objects, SecondaryCaptureImageStorage)
    assert captures
    for one in captures:
        assert one.BurnedInAnnotation == "NO", "nothing in the picture tells whose it is (PS3.3 C.7.6.1)"
        assert one.PatientOrientation[0] == ("R" if flipped else "L"), "it lies as the slice lies, and says so"
        blood = -1.0 if flipped else 1.0  # on the left half of the picture, or on its right
        assert blood * sides(head_of(one.pixel_array.astype(float))).colour > 5.0
    np.testing.assert_array_equal(preview(orthanc, captures[0]), captures[0].pixel_array)
    (paper,) = of_class(objects, EncapsulatedPDFStorage)
    assert paper.EncapsulatedDocument.startswith(b"%PDF-")
    assert of_class(objects, SegmentationStorage)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real head CT is not at {REAL}")
def test_a_real_head_ct_whose_gantry_is_tilted(site: Hospital, orthanc: Orthanc) -> None:
    files = sorted(REAL.glob("*.dcm"))
    source = pydicom.dcmread(files[0], stop_before_pixels=True)
    storescu(orthanc.dicom, AE, files)
    storescu(site.port, "INSULA", files)
    delivery = sent(site, source.StudyInstanceUID)
    objects = shown(orthanc, source.StudyInstanceUID)
    check_in_its_study(objects, source, delivery.objects)
    check_equal(site, objects, delivery.prediction_id)
    assert len(of_class(objects, Comprehensive3DSRStorage)) == 1
    assert of_class(objects, SecondaryCaptureImageStorage)
    (heat,) = of_class(objects, ParametricMapStorage)
    planes = [one.PlanePositionSequence[0].ImagePositionPatient for one in heat.PerFrameFunctionalGroupsSequence]
    slices = [pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient for path in files]
    assert sorted(map(tuple, planes)) == sorted(map(tuple, slices)), "a frame on each slice, uneven as they lie"
