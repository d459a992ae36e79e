"""Cleaning inflates no more than a picture has, reads no member that it drops, and judges numbers in linear time."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.faults import made_more_bombs as bombs
from tests.scans import made_bombs

from insula.cohort.deidentify import arrays, nifti, pictures, values
from insula.cohort.deidentify.tally import Tally
from insula.core.errors import LimitError, ScanError
from insula.scans import arrays as reading


def test_pixels_behind_a_pngs_picture_are_inflated_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bombs.png_whose_pixels_go_on(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "_MOST_INFLATED", 1 << 20)
    with pytest.raises(ScanError, match="swell beyond any picture"):
        pictures.clean(tmp_path / "a.png", "png", Tally())


def test_a_volume_is_judged_by_its_header_before_it_is_inflated(tmp_path: Path) -> None:
    made_bombs.nifti_1_gb_within_the_voxel_limit(tmp_path / "a.nii.gz")
    with pytest.raises(LimitError, match="would inflate"):
        nifti.clean(tmp_path / "a.nii.gz", Tally())
    (tmp_path / "b.nii.gz").write_bytes(made_bombs.gzipped(made_bombs.nifti_header((9, 9, 9), 2, 8), 200))
    tally = Tally()
    assert len(gzip.decompress(nifti.clean(tmp_path / "b.nii.gz", tally))) == 352 + 729
    assert tally.removed["bytes after the last voxel"] == 1


def test_members_that_are_dropped_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", array=np.ones((4, 4)), secret=np.zeros(9), units=np.asarray("HU"))
    read: list[str] = []
    inner = reading._member

    def counted(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *more: object, **told: object) -> object:
        read.append(info.filename)
        return inner(archive, info, *more, **told)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "_member", counted)
    tally = Tally()
    with np.load(io.BytesIO(arrays.clean(tmp_path / "a.npz", tally))) as kept:
        assert sorted(kept.files) == ["array", "units"]
        assert str(kept["units"]) == "HU"
    assert "secret.npy" not in read
    assert tally.removed["member of the archive"] == 1


def test_a_text_of_digits_without_end_is_judged_at_once() -> None:
    begun = time.process_time()
    assert not values._NUMBER.fullmatch("9" * 10_000 + "x")
    assert not values._NUMBER.fullmatch(" " * 10_000 + "x")
    assert time.process_time() - begun < 0.5  # the square of it took 3 s, and not so long that a test hangs on it
    for text in ("", " ", "1", "1.", ".5", "-1.5e-3 ", " +7"):
        assert values._NUMBER.fullmatch(text)
    for text in (".", "e5", "1 2", "+", "1e", "--1"):
        assert not values._NUMBER.fullmatch(text)
