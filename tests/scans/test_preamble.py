from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.scans.made_dicom import series, write

from insula.scans.read import read


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"MZ\x90\x00", "executable (Windows): dropped"),
        (b"\x7fELF\x02\x01", "executable (Linux): dropped"),
        (b"\xcf\xfa\xed\xfe", "executable (macOS): dropped"),
        (b"#!/bin/sh\n", "executable (script): dropped"),
        (b"II*\0\x08\0\0\0", "a TIFF as well: read as DICOM"),
        (b"%PDF-1.4", "another file (PDF): dropped"),
    ],
)
def test_what_a_preamble_may_hide_is_said(tmp_path: Path, start: bytes, said: str) -> None:
    path = write(tmp_path / "a.dcm", np.ones((3, 3), np.int16))
    clean = read(path)
    raw = path.read_bytes()
    path.write_bytes(start.ljust(128, b"\0") + raw[128:])
    volume = read(path)
    assert (volume.array == clean.array).all()
    assert clean.warnings == ()
    assert len(volume.warnings) == 1
    assert volume.warnings[0].endswith(said)


def test_a_series_says_it_once_with_the_count(tmp_path: Path) -> None:
    for path in series(tmp_path, [(0, 0, 5.0 * k) for k in range(4)])[:3]:
        path.write_bytes(b"MZ".ljust(128, b"\0") + path.read_bytes()[128:])
    assert read(tmp_path).warnings == ("the preamble is the start of an executable (Windows): dropped (3 files)",)
