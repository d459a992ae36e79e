"""Enhanced multi-frame objects: each frame's own rescale, place, window and stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage
from tests.scans.made_dicom import dataset

from insula.core.errors import ScanError
from insula.scans.read import read, read_files

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def item(**fields: Any) -> Dataset:
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def frame(z: float, slope: float = 1.0, intercept: float = 0.0, **groups: Dataset) -> Dataset:
    made = item(
        PlanePositionSequence=Sequence([item(ImagePositionPatient=[0.0, 0.0, z])]),
        PixelValueTransformationSequence=Sequence(
            [item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="HU")]
        ),
    )
    for name, group in groups.items():
        setattr(made, name, Sequence([group]))
    return made


def enhanced(path: Path, frames: list[Dataset], values: list[int], ct: bool = True, **fields: Any) -> Path:
    sop = EnhancedCTImageStorage if ct else EnhancedMRImageStorage
    plain = dict.fromkeys(("ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"))
    made = dataset(np.zeros((2, 3), np.int16), Modality="CT" if ct else "MR", SOPClassUID=sop, **plain, **fields)
    made.file_meta.MediaStorageSOPClassUID = sop
    made.NumberOfFrames = len(values)
    made.PixelData = np.stack([np.full((2, 3), v, "<i2") for v in values]).tobytes()
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=list(AXIAL))]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[0.5, 0.4], SliceThickness=4.0)]),
        FrameVOILUTSequence=Sequence([item(WindowCenter=[40.0, 600.0], WindowWidth=[80.0, 2800.0])]),
    )
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(frames)
    made.save_as(path, enforce_file_format=True)
    return path


def column(path: Path) -> list[float]:
    values: list[float] = read(path).array[0, :, 0, 0].tolist()
    return values


def test_each_frame_has_its_own_rescale_and_the_first_window_counts(tmp_path: Path) -> None:
    frames = [frame(0.0, 1.0, -1024.0), frame(5.0, 2.0, -1000.0), frame(10.0, 0.5, 0.0)]
    path = enhanced(tmp_path / "a.dcm", frames, [1024, 500, 80])
    volume = read(path)
    assert volume.array[0, :, 0, 0].tolist() == [0.0, 0.0, 40.0]
    assert (volume.units, volume.window) == ("HU", (40.0, 80.0))
    assert volume.spacing == pytest.approx((0.4, 0.5, 5.0))


def test_two_echoes_in_one_file_are_said_and_never_mixed(tmp_path: Path) -> None:
    def echo(time: float) -> Dataset:
        return item(EffectiveEchoTime=time)

    frames = [frame(5.0 * (k // 2), MREchoSequence=echo(80.0 if k % 2 else 10.0)) for k in range(6)]
    path = enhanced(tmp_path / "a.dcm", frames, [1, 101, 2, 102, 3, 103], ct=False)
    assert column(path) == [1.0, 2.0, 3.0]
    assert read(path).warnings == (
        "the series holds 2 stacks by echo time: the 3 frames of '10.0' are read, set aside are '80.0': 3",
    )


def test_the_larger_of_two_stacks_is_read(tmp_path: Path) -> None:
    def stack(name: str) -> Dataset:
        return item(StackID=name)

    frames = [frame(200.0 + k, FrameContentSequence=stack("1")) for k in range(2)]
    frames += [frame(4.0 * k, FrameContentSequence=stack("2")) for k in range(3)]
    path = enhanced(tmp_path / "a.dcm", frames, [9, 9, 1, 2, 3])
    assert column(path) == [1.0, 2.0, 3.0]
    assert "2 stacks by stack: the 3 frames of '2' are read, set aside are '1': 2" in read(path).warnings[0]


def test_frames_of_another_orientation_are_set_aside(tmp_path: Path) -> None:
    coronal = item(ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    frames = [frame(0.0), frame(4.0), frame(8.0), frame(0.0, PlaneOrientationSequence=coronal)]
    path = enhanced(tmp_path / "a.dcm", frames, [1, 2, 3, 9])
    assert column(path) == [1.0, 2.0, 3.0]
    assert read(path).warnings == ("1 frame set aside: of another orientation or size, or without a position",)


def test_one_stack_in_two_files_is_put_together(tmp_path: Path) -> None:
    one = enhanced(tmp_path / "1", [frame(0.0), frame(8.0)], [1, 3])
    two = enhanced(tmp_path / "2", [frame(12.0), frame(4.0)], [4, 2])
    assert read_files([two, one]).array[0, :, 0, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_uneven_frames_are_resampled_too(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", [frame(z) for z in (0.0, 4.0, 8.0, 12.0, 20.0, 24.0)], [0, 10, 20, 30, 50, 60])
    assert column(path) == pytest.approx([0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    assert read(path).warnings == ("1 slice missing in gaps up to 8.0 mm, filled by interpolation",)


def test_a_file_that_describes_more_frames_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = enhanced(tmp_path / "a.dcm", [frame(0.0), frame(4.0), frame(8.0)], [1, 2])
    with pytest.raises(ScanError, match="holds 2 frames and describes 3"):
        read(path)


def test_frames_that_are_hu_and_frames_that_are_not_do_not_mix(tmp_path: Path) -> None:
    odd = frame(4.0)
    odd.PixelValueTransformationSequence[0].RescaleType = "Z_EFF"
    with pytest.raises(ScanError, match="frames in HU and frames that are not"):
        read(enhanced(tmp_path / "a.dcm", [frame(0.0), odd], [1, 2]))
