"""A parser of ours that gets bytes from outside, as something that can be tried alone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """run: takes any bytes; what it raises beyond `allowed` is a defect. seeds: bytes that it understands.

    cost: of one try, in tries of the cheap ones.
    """

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    allowed: tuple[type[Exception], ...] = ()
    cost: int = 1

    def __call__(self, data: bytes) -> None:
        """Parse bytes; raises what it may not raise."""
        try:
            self.run(data)
        except self.allowed:
            return


def on_disk(run: Callable[[Path], object]) -> Callable[[bytes], object]:
    """What reads a file, as what reads its bytes."""

    def written(data: bytes) -> object:
        path = _folder() / f"tried-{os.getpid()}"
        path.write_bytes(data or b"\0")
        return run(path)

    return written


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="tried-"))
