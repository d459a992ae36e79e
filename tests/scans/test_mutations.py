"""Damaged files end in a volume or in a typed error, never in a crash, a hang or another exception."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.scans.mutations import Mutant, mutants, sound_files

from insula.core.errors import InsulaError
from insula.scans.sandbox import DecoderError, Sandbox

TASK = "tests.scans.mutations:task"


@pytest.fixture(scope="module")
def pool() -> Iterator[Sandbox]:
    with Sandbox(2, seconds=60.0).start(2) as opened:
        yield opened


def read_all(pool: Sandbox, folder: Path, many: Iterator[Mutant]) -> tuple[Counter[tuple[str, str]], list[str]]:
    """Counts by (kind, outcome), and one line for everything that must not be."""
    whole: list[dict[str, object]] = []
    for number, (_, data) in enumerate(sound_files()):
        path = folder / f"sound-{number}"
        path.write_bytes(data)
        whole.append(pool.run(TASK, path.name, {"path": str(path)}).facts)

    def one(mutant: Mutant) -> tuple[Mutant, str, str]:
        path = folder / f"{mutant.number}"
        path.write_bytes(mutant.data)
        try:
            facts = pool.run(TASK, path.name, {"path": str(path)}).facts
        except InsulaError as error:
            cause = error.__cause__
            fault = f"{cause.kind}: {error}" if isinstance(cause, DecoderError) else ""
            return mutant, type(error).__name__, fault
        finally:
            path.unlink()
        silent = not facts["warnings"] or facts["warnings"] == whole[mutant.sound]["warnings"]
        changed = facts["pixels"] != whole[mutant.sound]["pixels"]
        if mutant.how in ("cut", "cut a little") and silent and changed:
            return mutant, "volume", f"a file cut to {len(mutant.data)} bytes gave other pixels without a word"
        return mutant, "volume" if silent else "volume with a warning", ""

    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    with ThreadPoolExecutor(2) as threads:
        for mutant, outcome, fault in threads.map(one, many):
            counts[mutant.kind, outcome] += 1
            if fault:
                wrong.append(f"{mutant.number} {mutant.kind} of {mutant.sound}, {mutant.how}: {fault}")
    return counts, wrong


def test_the_sound_files_are_sound(pool: Sandbox, tmp_path: Path) -> None:
    counts, wrong = read_all(pool, tmp_path, iter(()))
    assert (counts, wrong) == (Counter(), [])


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert [m.data for m in mutants(24, 5)] == [m.data for m in mutants(24, 5)]
    assert len({m.kind for m in mutants(24, 5)}) == 9


def test_damaged_files_end_in_a_volume_or_a_typed_error(pool: Sandbox, tmp_path: Path) -> None:
    counts, wrong = read_all(pool, tmp_path, mutants(324, seed=11))
    assert wrong == []
    assert sum(counts.values()) == 324


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_damaged_files(pool: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts, wrong = read_all(pool, tmp_path, mutants(10_000, seed=2026))
    outcomes = sorted({outcome for _, outcome in counts})
    with capsys.disabled():
        print(f"\n{'kind':<8}" + "".join(f"{name:>24}" for name in outcomes))  # noqa: T201
        for kind in sorted({kind for kind, _ in counts}):
            print(f"{kind:<8}" + "".join(f"{counts[kind, name]:>24}" for name in outcomes))  # noqa: T201
        print("\n".join(wrong))  # noqa: T201
    assert wrong == []
    assert sum(counts.values()) == 10_000
