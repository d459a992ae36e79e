from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import pytest

from insula.core.errors import LimitError, ScanError
from insula.scans import limits
from insula.scans.limits import Limits


def test_inflate_stops_at_the_cap_without_holding_the_bomb() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    assert sum(len(b) for b in limits.inflate(io.BytesIO(bomb), 1000)) == 1000


def test_inflate_gives_all_members_of_a_gzip_file() -> None:
    stream = io.BytesIO(gzip.compress(b"one") + gzip.compress(b"two"))
    assert b"".join(limits.inflate(stream, 100)) == b"onetwo"


def test_inflate_reads_raw_deflate() -> None:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(b"abc" * 100) + packer.flush()
    assert b"".join(limits.inflate(io.BytesIO(data), 10_000, wbits=-15)) == b"abc" * 100


def test_damaged_stream_is_a_scan_error() -> None:
    with pytest.raises(ScanError, match="damaged"):
        list(limits.inflate(io.BytesIO(b"\x1f\x8b\x08\x00rubbish that is no deflate"), 100))


@pytest.mark.parametrize("sides", [(0, 5), (-3, 4)])
def test_shape_refuses_what_holds_nothing(sides: tuple[int, ...]) -> None:
    with pytest.raises(ScanError, match="damaged"):
        limits.shape(sides, "x")


def test_shape_refuses_by_product_and_by_side() -> None:
    few = Limits(max_voxels=100, max_side=50)
    assert limits.shape((10, 10), "x", few) == (10, 10)
    with pytest.raises(LimitError):
        limits.shape((10, 11), "x", few)
    with pytest.raises(LimitError):
        limits.shape((1, 51), "x", few)


def test_too_many_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}" for i in range(4)]
    for path in paths:
        path.write_bytes(b"x")
    assert limits.total_size(paths) == 4
    with pytest.raises(LimitError, match="more than 3 files"):
        limits.total_size(paths, Limits(max_files=3))
    with pytest.raises(LimitError, match="bytes"):
        limits.total_size(paths, Limits(max_bytes=3))
