"""Decoding ahead changes nothing but the time: every file is decoded once, and what is no plain series not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import imagecodecs
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless
from tests.scans.made_dicom import series
from tests.scans.test_syntax import head, packed

from insula.core.errors import LimitError, ScanError
from insula.scans import ahead, header, pixels, threads
from insula.scans.limits import LIMITS, Limits
from insula.scans.read import read_files


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "COUNT", 3)
    monkeypatch.setattr(threads, "_pools", {})


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded, in any order."""
    names: list[str] = []
    real = pixels.stored

    def count(dataset: Any, facts: header.Header, allowed: Limits) -> pixels.Stored:
        names.append(facts.path.name)
        return real(dataset, facts, allowed)

    monkeypatch.setattr(pixels, "stored", count)
    return names


def compressed(folder: Path, heights: list[float], spoiled: tuple[int, ...] = (), **fields: Any) -> list[Path]:
    frame = bytes(imagecodecs.jpeg2k_encode(head(), level=0, codecformat="j2k", bitspersample=12))
    folder.mkdir()
    paths = []
    for k, height in enumerate(heights):
        data = frame[: len(frame) // 2] if k in spoiled else frame
        path = packed(folder / f"{k:02d}.dcm", JPEG2000Lossless, data, head().shape)
        made = pydicom.dcmread(path)
        made.ImagePositionPatient, made.SOPInstanceUID, made.EchoTime = [0, 0, height], f"1.2.{k}", 10 + k % 2
        for name, value in fields.items():
            setattr(made, name, value)
        made.save_as(path)
        paths.append(path)
    return paths


def test_every_file_is_decoded_once(tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    paths = compressed(tmp_path / "a", [5.0 * k for k in range(12)])
    volume = read_files(paths)
    assert sorted(decoded) == [path.name for path in paths]
    monkeypatch.setattr(threads, "COUNT", 1)
    assert (read_files(paths).array == volume.array).all()


def test_of_two_echoes_one_is_decoded(tmp_path: Path, decoded: list[str]) -> None:
    paths = compressed(tmp_path / "a", [5.0 * (k // 2) for k in range(12)])
    volume = read_files(paths)
    assert volume.array.shape[1] == 6
    assert len(decoded) == 6


def test_only_plain_compressed_series_are_begun(tmp_path: Path) -> None:
    def begun(paths: list[Path], allowed: Limits = LIMITS) -> int:
        with ahead.Ahead(allowed) as one:
            for number, path in enumerate(paths):
                dataset = header.load(path, later=True)
                one.begin(number, header.facts(dataset, path), dataset)
            return len(one._begun)

    paths = compressed(tmp_path / "a", [5.0 * k for k in range(6)])
    assert begun(paths) == 6
    assert begun(paths, Limits(max_voxels=2 * head().size)) == 2
    assert begun(compressed(tmp_path / "b", [0.0, 5.0, 5.0, 10.0])) == 2
    assert begun(compressed(tmp_path / "c", [0.0, 5.0], NumberOfFrames=2)) == 0
    assert begun(series(tmp_path / "d", [(0, 0, 3 * k) for k in range(4)])) == 0


def test_errors_are_those_of_the_first_bad_file_and_nothing_goes_on_behind_them(tmp_path: Path) -> None:
    paths = compressed(tmp_path / "a", [5.0 * k for k in range(10)], spoiled=(2, 3, 7))
    for _ in range(3):
        with pytest.raises(ScanError, match=r"'02\.dcm' has undecodable pixels"):
            read_files(paths)
    with pytest.raises(LimitError):
        read_files(paths[4:7], Limits(max_voxels=2 * head().size))
    others = compressed(tmp_path / "b", [0.0, 5.0], SeriesInstanceUID="1.9")
    with pytest.raises(ScanError, match="hold 2 series"):
        read_files([*paths[4:7], *others])
    gate = threading.Event()
    threads._pool().submit(gate.set)
    assert gate.wait(10)  # the threads are free again
