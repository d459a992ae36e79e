"""What has to hold of an image that is tried, and what did."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

HELD: list[str] = []  # what `must` was told of, in order


def until(said: str, true: Callable[[], bool], process: subprocess.Popen[str], log: Path, within: float = 90) -> float:
    """Wait for a function to say yes; seconds. Raises SystemExit with the end of the log where it does not."""
    started = time.monotonic()
    while time.monotonic() - started < within:
        if true():
            return time.monotonic() - started
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise SystemExit(f"{said}: not within {within:g} s\n{log.read_text()[-3000:]}")


def must(said: str, true: bool, more: str = "") -> None:
    """Say what holds, or end with what does not."""
    if not true:
        raise SystemExit(f"NOT: {said} {more}")
    HELD.append(re.sub(r"\d+\.\d+ s", "some seconds", said))
    print(f"  {said}", flush=True)
