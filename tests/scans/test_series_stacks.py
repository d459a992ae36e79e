"""Series that hold more than one stack of slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.scans.made_dicom import write

from insula.scans.read import read


def put(folder: Path, name: str, z: float, value: int, **fields: object) -> None:
    write(
        folder / name,
        np.full((4, 5), 1024 + value, np.int16),
        ImagePositionPatient=[0.0, 0.0, z],
        Modality="MR",
        RescaleType="US",
        **fields,
    )


def test_two_echoes_are_never_mixed(tmp_path: Path) -> None:
    for k in range(4):
        put(tmp_path, f"a{k}", 5.0 * k, k, EchoTime=80.0 if k % 2 else 10.0, InstanceNumber=2 * k)
        put(tmp_path, f"b{k}", 5.0 * k, 100 + k, EchoTime=10.0 if k % 2 else 80.0, InstanceNumber=2 * k + 1)
    volume = read(tmp_path)
    assert volume.array[0, :, 0, 0].tolist() == [0.0, 101.0, 2.0, 103.0]
    assert volume.warnings == (
        "the series holds 2 stacks by echo time: the 4 files of '10.0' are read, set aside are '80.0': 4",
    )


def test_time_points_and_kernels_are_told_apart(tmp_path: Path) -> None:
    for k in range(3):
        for t in range(3):
            put(tmp_path / "t", f"{k}{t}", 5.0 * k, 10 * t + k, TemporalPositionIdentifier=t + 1)
        for n, kernel in enumerate(("SOFT", "BONE")):
            put(tmp_path / "k", f"{k}{n}", 5.0 * k, 10 * n + k, ConvolutionKernel=kernel)
    assert read(tmp_path / "t").array[0, :, 0, 0].tolist() == [0.0, 1.0, 2.0]
    assert "3 stacks by time point: the 3 files of '1'" in read(tmp_path / "t").warnings[0]
    assert "2 stacks by kernel" in read(tmp_path / "k").warnings[0]


def test_a_value_that_runs_along_the_stack_divides_nothing(tmp_path: Path) -> None:
    for k in range(5):
        put(tmp_path, f"{k}", 5.0 * k, k, AcquisitionNumber=k + 1, EchoTime=10.0 + k)
    put(tmp_path, "again", 10.0, 99, AcquisitionNumber=6, EchoTime=10.0)
    volume = read(tmp_path)
    assert volume.array.shape[1] == 5
    assert volume.warnings == ("1 file set aside: at a repeated position",)


def test_another_pixel_spacing_is_another_stack(tmp_path: Path) -> None:
    for k in range(4):
        put(tmp_path, f"{k}", 5.0 * k, k)
    put(tmp_path, "zoomed", 20.0, 50, PixelSpacing=[0.25, 0.125])
    volume = read(tmp_path)
    assert volume.array.shape[1] == 4
    assert volume.warnings == ("1 file set aside: of another orientation or size, or without a position",)
