"""Small files that ask for much are refused by arithmetic: quickly, and in little memory."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.scans import made_bombs, made_dicom
from tests.scans.made_bombs import BOMBS

from insula.core.errors import LimitError
from insula.scans import read, tiff_header
from insula.scans.sandbox import Sandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
MOST_MB = 200


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One process for all bombs: its peak is the largest of theirs."""
    good = tmp_path_factory.mktemp("good")
    with Sandbox() as opened:
        made_dicom.write(good / "a.dcm", np.zeros((4, 4), np.int16))
        Image.new("L", (4, 4)).save(good / "a.tif")
        for path in good.iterdir():
            assert opened.run("tests.scans.made_bombs:task", "x", {"path": str(path)}).facts["outcome"][:4] == "read"
        yield opened


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused(name: str, tmp_path: Path, pool: Sandbox) -> None:
    file, maker = BOMBS[name]
    path = tmp_path / file
    maker(path)
    assert path.stat().st_size < 10 << 20
    facts = pool.run("tests.scans.made_bombs:task", file, {"path": str(path)}).facts
    assert facts["outcome"].startswith(("unreadable_scan", "limit_exceeded", "unsuitable_scan")), facts["outcome"]
    assert facts["peak"] < MOST_MB
    assert facts["seconds"] < 60  # no more than that it does not hang; benchmarks/bombs.py measures


def test_what_follows_the_promised_bytes_is_not_inflated(tmp_path: Path, pool: Sandbox) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(made_bombs.gzipped(made_bombs.nifti_header((64, 64, 32), 2, 8), 2000))
    facts = pool.run("tests.scans.made_bombs:task", "x", {"path": str(path)}).facts
    assert facts["outcome"].startswith("read;")
    assert "more bytes than its header promises" in facts["outcome"]
    assert facts["peak"] < MOST_MB


@pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF\x02\x01\x01", b"\xcf\xfa\xed\xfe", b"#!/bin/sh\n"])
def test_an_executable_preamble_is_reported(tmp_path: Path, start: bytes) -> None:
    path = made_dicom.write(tmp_path / "a.dcm", np.zeros((4, 4), np.int16))
    raw = path.read_bytes()
    path.write_bytes(start.ljust(128, b"\1") + raw[128:])
    assert any("preamble" in note for note in read.read(path).warnings)


def test_many_pages_are_counted_without_reading_them(tmp_path: Path) -> None:
    made_bombs.tiff_of_100_000_pages(tmp_path / "a.tif")
    with pytest.raises(LimitError, match="more than the 5000 pages"):
        tiff_header.pages(tmp_path / "a.tif", 5000)


def test_an_honest_empty_mask_is_no_bomb(tmp_path: Path) -> None:
    """256 MB and less may grow by any factor: masks without a lesion do."""
    path = tmp_path / "mask.nii.gz"
    path.write_bytes(gzip.compress(made_bombs.nifti_header((200, 200, 100), 2, 8) + bytes(4_000_000), 9))
    assert not read.read(path).array.any()
