"""What becomes of damaged files in the sandbox, and what of it must not be."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.scans.mutations import Mutant, sound_files

from insula.core.errors import InsulaError
from insula.scans import behind
from insula.scans.sandbox import DecoderError, Sandbox

TASK = "tests.scans.mutations:task"
SHORTER, LONGER = ("cut", "cut a little"), ("appended",)
_ENDLESS = ("tiff",)  # its directories name places anywhere in the file, and nothing says where it ends


@dataclass
class Judged:
    """counts: by (kind, outcome). wrong: a line for everything that must not be. slowest: seconds of one file."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: float = 0.0


def read_all(
    pool: Sandbox, folder: Path, many: Iterator[Mutant], threads: int = 2, told: Callable[[str], object] | None = None
) -> Judged:
    """Read files that were made of sound ones. told: gets a line for each."""
    whole: list[dict[str, Any]] = []
    for number, (_, data) in enumerate(sound_files()):
        path = folder / f"sound-{number}"
        path.write_bytes(data)
        whole.append(pool.run(TASK, path.name, {"path": str(path)}).facts)

    def one(mutant: Mutant) -> tuple[Mutant, str, str, float]:
        path = folder / f"{mutant.number}"
        path.write_bytes(mutant.data)
        begun = time.monotonic()
        try:
            facts = pool.run(TASK, path.name, {"path": str(path)}).facts
        except InsulaError as error:
            cause = error.__cause__
            fault = f"{cause.kind}: {error}" if isinstance(cause, DecoderError) else ""
            return mutant, type(error).__name__, fault, time.monotonic() - begun
        finally:
            path.unlink()
        silent = not facts["warnings"] or facts["warnings"] == whole[mutant.sound]["warnings"]
        changed = facts["pixels"] != whole[mutant.sound]["pixels"]
        fault = ""
        if mutant.how in SHORTER and silent and changed:
            fault = f"a file cut to {len(mutant.data)} bytes gave other pixels without a word"
        if mutant.how in LONGER and mutant.kind not in _ENDLESS and behind.LONGER not in facts["warnings"]:
            fault = f"a file with bytes behind its end, {len(mutant.data)} in all, was taken without a word"
        return mutant, "volume" if silent else "volume with a warning", fault, time.monotonic() - begun

    found = Judged()
    with ThreadPoolExecutor(threads) as several:
        for mutant, outcome, fault, seconds in several.map(one, many):
            found.counts[mutant.kind, outcome] += 1
            found.slowest = max(found.slowest, seconds)
            line = f"{mutant.number} {mutant.kind} of {mutant.sound}, {mutant.how}"
            if told is not None:
                told(f"{line}: {outcome} {seconds:.3f} s")
            if fault:
                found.wrong.append(f"{line}: {fault}")
    return found
