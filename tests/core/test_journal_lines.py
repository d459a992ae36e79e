"""Lines that are added are whole or not there."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import pytest

from insula.core.errors import UsageError
from insula.core.journal_lines import decoded, encoded, opened, rows


def written(path: Path, count: int) -> None:
    with opened(path) as lines:
        for i in range(count):
            lines.add({"i": i, "name": "Ünlü\n\u2028", "none": None})


def test_what_was_added_comes_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal.txt"
    written(path, 3)
    written(path, 1)
    found = list(rows(path))
    assert [row["i"] for row, _ in found] == [0, 1, 2, 0]
    assert found[0][0]["name"] == "Ünlü\n\u2028"
    assert sum(length for _, length in found) == path.stat().st_size


def test_a_line_is_one_line_with_its_crc() -> None:
    line = encoded({"a": "x\ny", "b": math.nan})
    assert line.count(b"\n") == 1
    row = decoded(line)
    assert row is not None
    assert math.isnan(row["b"])
    assert line[:8] == b"%08x" % zlib.crc32(line[9:-1])


@pytest.mark.parametrize("line", [b"", b"\n", b"00000000 {}\n", encoded({"a": 1})[:-1], b"x" * 20 + b"\n"])
def test_a_line_that_is_torn_or_changed_is_none(line: bytes) -> None:
    assert decoded(line) is None


def test_a_line_of_something_else_than_an_object_is_none() -> None:
    assert decoded(b"%08x [1]\n" % zlib.crc32(b"[1]")) is None


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_torn_end_is_cut_off_and_gone_on_from(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal.txt"
    written(path, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    written(path, 2)
    assert [row["i"] for row, _ in rows(path)] == [0, 1, 0, 1]


def test_two_do_not_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.txt"
    with opened(path), pytest.raises(UsageError, match="Another process is writing"), opened(path):
        pass


@pytest.mark.parametrize("text", [b"{", b"[" * 100_000, b"{}{}", b"\xff"])
def test_a_line_whose_sum_fits_and_that_is_no_json_is_none(text: bytes) -> None:
    assert decoded(b"%08x %b\n" % (zlib.crc32(text), text)) is None
