"""What the directories of a TIFF say, of which any may name places far outside of the file."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from insula.core.errors import ScanError
from insula.scans import tiff_header
from insula.scans.read import sniff


@pytest.mark.parametrize("offset", [1 << 20, 1 << 51, (1 << 63) - 1, (1 << 64) - 1])
def test_a_directory_far_behind_the_end_is_read_as_nothing(offset: int, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0" + struct.pack("<HHQ", 8, 0, offset) + bytes(100))
    assert tiff_header.directories(path) == ()
    assert sniff(path) == "tiff"
    with pytest.raises(ScanError, match="lie outside of the file"):
        tiff_header.pages(path, 10)


def test_a_directory_of_more_entries_than_any_file_holds_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, (1 << 64) - 1) + bytes(100))
    assert tiff_header.pages(path, 10) == 1
