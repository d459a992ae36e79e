"""The series of a prediction out of its files: order, places, pictures on their own pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from tests.serve.client import png
from tests.tiny_bundle import recipe

from insula.core.errors import ScanError
from insula.scans.write import made_uid, write_ct_series
from insula.serve.on_plane import heat_on_plane
from insula.serve.pacs import sources
from insula.serve.pacs.sources import picture
from insula.serve.scans_of import by_scan, scans_of
from insula.serve.view import View

STUDY, SERIES = made_uid("study"), made_uid("series")
TILTED = np.array([[0.5, 0, 0, -20.0], [0, 0.45, -1.0, -22.0], [0, 0, 4.9, 100.0], [0, 0, 0, 1.0]])


def scan(
    folder: Path, affine: NDArray[Any] = TILTED, slices: int = 4, series: str = SERIES, **header: Any
) -> list[Path]:
    """A CT whose slice z holds 10 × z + column in HU; its files in an order that is not that of their places."""
    z, _, x = np.mgrid[:slices, :12, :10]
    names = [f"{series[-4:]}-{(7 * k) % slices:02d}.dcm" for k in range(slices)]
    hu = (10.0 * z + x).astype(np.float32)
    said = {"PatientID": "P", "PatientName": "王^小明", "SpecificCharacterSet": "ISO_IR 192", "InstanceNumber": 1}
    written = write_ct_series(hu, affine, folder, names, (STUDY, series), said)
    return sorted(written)


def only(paths: list[Path], **more: Any) -> sources.Source:
    chosen = scans_of({"scan": paths}, recipe("multiclass", "series", 0.0), more)
    (found,) = sources.sources(by_scan(chosen))
    return found


def test_slices_come_in_the_order_of_their_places(tmp_path: Path) -> None:
    found = only(scan(tmp_path))
    assert found.scan == "ct"
    assert found.study_uid == STUDY
    assert [float(one.ImagePositionPatient[2]) for one in found.headers] == [100.0, 104.9, 109.8, 114.7]
    assert str(found.headers[0].PatientName) == "王^小明"
    assert "PixelData" not in found.headers[0]


def test_each_slice_of_a_tilted_gantry_lies_where_its_own_header_says(tmp_path: Path) -> None:
    found = only(scan(tmp_path))
    for number, plane in enumerate(found.planes):
        np.testing.assert_allclose(plane.affine[:3, 3], (TILTED @ [0, 0, number, 1])[:3], atol=1e-4)
        np.testing.assert_allclose(plane.affine[:3, :2], TILTED[:3, :2], atol=1e-6)
        np.testing.assert_allclose(plane.affine[:3, 2], [0, 0, 4.9], atol=1e-4)  # along the normal
        assert plane.size == (12, 10)


@pytest.mark.parametrize("turn", [[1, 1, 1], [-1, 1, 1], [1, -1, 1], [-1, -1, 1]])
def test_a_picture_is_on_the_pixels_of_its_file_however_the_patient_lay(tmp_path: Path, turn: list[int]) -> None:
    affine = np.diag([*turn, 1.0]) @ np.diag([1.0, 1.0, 5.0, 1.0])
    found = only(scan(tmp_path, affine))
    for number, plane in enumerate(found.planes):
        z = round(float(found.headers[number].ImagePositionPatient[2]) / 5.0)
        want = np.rint(np.clip((10.0 * z + np.arange(10) - 40.0) / 80.0 + 0.5, 0, 1) * 255)
        np.testing.assert_array_equal(picture(plane), np.tile(want, (12, 1)).astype(np.uint8))


def test_a_sagittal_series_keeps_its_pictures(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 2.0, 0], [1.0, 0, 0, 0], [0, -1.0, 0, 0], [0, 0, 0, 1.0]])
    found = only(scan(tmp_path, affine))
    assert [float(one.ImagePositionPatient[0]) for one in found.headers] == [6, 4, 2, 0]  # along rows × columns
    for plane, header in zip(found.planes, found.headers, strict=True):
        z = float(header.ImagePositionPatient[0]) / 2.0
        want = np.rint(np.clip((10.0 * z + np.arange(10) - 40.0) / 80.0 + 0.5, 0, 1) * 255)
        np.testing.assert_array_equal(picture(plane)[0], want.astype(np.uint8))


def test_without_places_slices_come_by_their_numbers(tmp_path: Path) -> None:
    paths = scan(tmp_path)
    for path in paths:
        one = pydicom.dcmread(path)
        del one.ImagePositionPatient, one.ImageOrientationPatient
        one.save_as(path)
    found = only(paths)
    assert [int(one.InstanceNumber) for one in found.headers] == [1, 2, 3, 4]
    np.testing.assert_allclose([plane.affine[2, 3] for plane in found.planes], [0, 4.98, 9.96, 14.94], atol=0.1)


def test_frames_of_one_file_are_slices(tmp_path: Path) -> None:
    (path,) = scan(tmp_path, np.diag([1.0, 1.0, 5.0, 1.0]), slices=1)
    one = pydicom.dcmread(path)
    plain = one.PixelData
    one.NumberOfFrames, one.PixelData = 3, plain + plain + plain
    del one.ImagePositionPatient
    shared, frames = Dataset(), []
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = [1, 1]
    shared.PixelMeasuresSequence[0].SliceThickness = 5
    for number in range(3):
        group = Dataset()
        group.PlanePositionSequence = Sequence([Dataset()])
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 5 * number]
        frames.append(group)
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    one.save_as(path)
    found = only([path])
    assert len(found.headers) == 1
    assert [plane.affine[2, 3] for plane in found.planes] == [0, 5, 10]
    assert picture(found.planes[2]).shape == (12, 10)


def test_the_series_that_was_asked_for_is_taken_and_a_localiser_is_none(tmp_path: Path) -> None:
    wanted, other, (scout,) = (scan(tmp_path, slices=n, series=made_uid(n)) for n in (4, 2, 1))
    one = pydicom.dcmread(scout)
    one.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    one.save_as(scout)
    assert len(only([*other, scout, *wanted], scan=3).headers) == 4  # counted by the order of their first files
    assert len(only([*other, scout, *wanted], scan=1).headers) == 2
    assert len(only([scout, *wanted]).headers) == 4


def test_what_is_no_dicom_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png())
    assert sources.sources({"ct": [path]}) == ()


def test_a_damaged_header_is_refused_without_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = scan(tmp_path, slices=1)

    def damaged(_: Dataset) -> None:
        raise ValueError("Doe^Jane is no name")

    monkeypatch.setattr(Dataset, "decode", damaged)
    with pytest.raises(ScanError) as refused:
        only(paths)
    assert "Doe" not in str(refused.value)
    assert paths[0].name in str(refused.value)


def test_long_values_are_not_kept(tmp_path: Path) -> None:
    (path,) = scan(tmp_path, slices=1)
    one = pydicom.dcmread(path)
    block = one.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "OB", b"\0" * 100_000)
    block.add_new(0x02, "LO", "short")
    one.save_as(path)
    header = only([path]).headers[0]
    assert (0x0009, 0x1001) not in header
    assert header[0x0009, 0x1002].value == "short"


def test_heat_lies_in_the_same_place_of_the_patient_on_tilted_slices(tmp_path: Path) -> None:
    upright = np.diag([0.5, 0.5, 4.9, 1.0])  # the grid that the network saw: the tilt taken away, and wider
    upright[:3, 3] = [-22.0, -28.0, 100.0]
    cells = np.zeros((1, 4, 8, 8), np.float32)
    cells[0, 2, 4, 2] = 1.0
    seen = View(np.zeros((4, 32, 32), np.uint8), cells, (0, 1, 2, 3), np.ones(4, np.float32), ("a",), upright)
    planes = only(scan(tmp_path)).planes
    heat = [heat_on_plane(seen, 0, plane.affine, plane.size) for plane in planes]
    assert [bool(one.max() > 0.6) for one in heat] == [False, False, True, False]
    row, column = np.unravel_index(heat[2].argmax(), heat[2].shape)
    place = planes[2].affine @ [column, row, 0, 1]
    want = upright @ [2 * 4 + 1.5, 4 * 4 + 1.5, 2, 1]  # the middle of a cell of four pixels
    np.testing.assert_allclose(place[:3], want[:3], atol=0.3)
