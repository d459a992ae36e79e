"""How many cores this process may use, which in a container is fewer than the machine has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_GROUPS: Final = Path("/sys/fs/cgroup")
_MINE: Final = Path("/proc/self/cgroup")


def usable(groups: Path = _GROUPS, mine: Path = _MINE) -> int:
    """Cores that this process may use: those it is bound to, and no more than its control group's quota allows.

    The quota is that of cgroup v2 (`cpu.max`: microseconds of processor time in a period, kernel.org, cgroup-v2),
    the least on the way from the group to the root; part of a core is none, and one there always is.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, int(_quota(groups, mine))))


def _quota(groups: Path, mine: Path) -> float:
    try:
        line = next(line for line in mine.read_text(encoding="utf-8").splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):  # no Linux, or the older control groups
        return 1 << 16
    least = float(1 << 16)
    place = groups / line.removeprefix("0::").strip("/")
    for group in (place, *place.parents):
        if not group.is_relative_to(groups):
            break
        try:
            most, period = (group / "cpu.max").read_text(encoding="utf-8").split()
            least = min(least, int(most) / int(period))
        except (OSError, ValueError, ZeroDivisionError):  # "max" is no number: no limit there
            continue
    return least
