"""Damaged files end in a volume or in a typed error, never in a crash, a hang or another exception."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.scans.judged import read_all
from tests.scans.mutations import mutants

from insula.scans.sandbox import Sandbox


@pytest.fixture(scope="module")
def pool() -> Iterator[Sandbox]:
    with Sandbox(2, seconds=60.0).start(2) as opened:
        yield opened


def test_the_sound_files_are_sound(pool: Sandbox, tmp_path: Path) -> None:
    found = read_all(pool, tmp_path, iter(()))
    assert (found.counts, found.wrong) == (Counter(), [])


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert [m.data for m in mutants(24, 5)] == [m.data for m in mutants(24, 5)]
    assert len({m.kind for m in mutants(24, 5)}) == 9


def test_damaged_files_end_in_a_volume_or_a_typed_error(pool: Sandbox, tmp_path: Path) -> None:
    found = read_all(pool, tmp_path, mutants(324, seed=11))
    assert found.wrong == []
    assert sum(found.counts.values()) == 324
