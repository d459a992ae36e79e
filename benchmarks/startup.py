"""How long `import insula`, `insula`, `insula --help` and `insula info` take, beside starting Python alone."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
GOALS = {"help_ratio": 20.0, "help_s": 0.3, "bare_s": 0.3, "info_s": 0.3, "import_ratio": 3.0}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> int:
    insula = str(Path(sys.executable).with_name("insula"))
    sides = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "import insula": [sys.executable, "-c", "import insula"],
        "insula": [insula],
        "insula --help": [insula, "--help"],
        "insula info": [insula, "info"],
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, command in sides.items():
            times[name].append(seconds(command))
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {ROUNDS} rounds, interleaved")
    print(f"{'side':<16}{'median s':>10}{'least':>8}{'most':>8}{'ratio':>8}")
    base = statistics.median(times["python -c pass"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:<16}{middle:>10.3f}{min(values):>8.3f}{max(values):>8.3f}{middle / base:>8.1f}")
    middles = {name: statistics.median(values) for name, values in times.items()}
    figures = {
        "help_ratio": round(middles["insula --help"] / base, 2),
        "help_s": round(middles["insula --help"], 3),
        "bare_s": round(middles["insula"], 3),
        "info_s": round(middles["insula info"], 3),
        "import_ratio": round(middles["import insula"] / base, 2),
    }
    holds = all(figures[name] <= goal for name, goal in GOALS.items())
    print(json.dumps({"bench": "startup", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
