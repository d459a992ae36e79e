"""How quickly and in how little memory small files that ask for gigabytes are refused, each in a process of its own."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.scans.made_bombs import BOMBS

from insula.scans.sandbox import Sandbox

ROUNDS = 3
GOALS = {"slowest_s": 1.0, "peak_mb": 200.0, "read": 0}
TASK = "tests.scans.made_bombs:task"


def main() -> int:
    seconds: dict[str, list[float]] = {name: [] for name in BOMBS}
    worked: dict[str, list[float]] = {name: [] for name in BOMBS}
    peaks: dict[str, float] = dict.fromkeys(BOMBS, 0.0)
    outcomes: dict[str, str] = {}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as place:
        for file, maker in BOMBS.values():
            maker(Path(place) / file)
        for _ in range(ROUNDS):
            for name, (file, _) in BOMBS.items():
                path = Path(place) / file
                sizes[name] = path.stat().st_size
                with Sandbox() as pool:
                    pool.run(TASK, file, {"path": __file__})  # what a process imports is no part of the refusal
                    facts = pool.run(TASK, file, {"path": str(path)}).facts
                seconds[name].append(facts["seconds"])
                worked[name].append(facts["worked"])
                peaks[name] = max(peaks[name], facts["peak"])
                outcomes[name] = str(facts["outcome"])
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds, interleaved")
    print("seconds of the processor, which a busy machine does not change, and of the clock")
    print(f"{'file':<36}{'bytes':>9}{'median s':>10}{'most':>8}{'clock s':>9}{'MB':>6}  outcome")
    for name, values in worked.items():
        said = outcomes[name].partition(":")[0]
        middle, clock = statistics.median(values), statistics.median(seconds[name])
        numbers = f"{middle:>10.3f}{max(values):>8.3f}{clock:>9.3f}{peaks[name]:>6.0f}"
        print(f"{name:<36}{sizes[name]:>9}{numbers}  {said}")
    read = [name for name, said in outcomes.items() if said.startswith("read")]
    figures = {
        "slowest_s": round(max(statistics.median(v) for v in worked.values()), 3),
        "peak_mb": round(max(peaks.values()), 1),
        "read": len(read),
    }
    holds = all(figures[name] <= goal for name, goal in GOALS.items())
    print(json.dumps({"bench": "bombs", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
