"""The journal keeps whole lines whatever happens to its end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insula.core.errors import UsageError
from insula.core.journal_lines import rows
from insula.infer.feature_journal import JOURNAL, Entry, opened, read


def fill(folder: Path, count: int = 3) -> None:
    with opened(folder) as journal:
        for i in range(count):
            journal.add(Entry(f"c{i}", f"x{i}", np.full(4, i / 3, np.float32), {"p": [0.5, None]}))


def test_what_was_added_comes_back_to_the_bit(tmp_path: Path) -> None:
    fill(tmp_path)
    with opened(tmp_path) as journal:
        journal.add(Entry("bad", "", None, {}, "it is empty"))
        journal.add(Entry("c1", "new", np.ones(4, np.float32), {}))
    found = read(tmp_path / JOURNAL)
    assert list(found) == ["c0", "c1", "c2", "bad"]
    assert found["c1"].content == "new"
    assert found["c2"].embedding is not None
    assert found["c2"].embedding.tobytes() == np.full(4, 2 / 3, np.float32).tobytes()
    assert (found["bad"].embedding, found["bad"].failure) == (None, "it is empty")
    assert found["c0"].facts == {"p": [0.5, None]}


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_a_torn_end_is_cut_off_and_gone_on_from(tmp_path: Path, cut: int) -> None:
    fill(tmp_path)
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    fill(tmp_path, 1)
    assert list(read(path)) == ["c0", "c1"]
    assert sum(size for _, size in rows(path)) == path.stat().st_size


def test_a_line_that_was_changed_ends_what_is_trusted(tmp_path: Path) -> None:
    fill(tmp_path)
    path = tmp_path / JOURNAL
    data = bytearray(path.read_bytes())
    data[data.index(b"c1")] ^= 1
    path.write_bytes(bytes(data))
    assert list(read(path)) == ["c0"]


def test_two_processes_do_not_write_at_once(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(UsageError, match="Another process is writing"), opened(tmp_path):
        pass
