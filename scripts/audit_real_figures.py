"""What the two parts of audit_real.py share: a verb of the command line, an audit's verdicts, figures as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.metrics import group_difference
from insula.metrics.intervals import Figure

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Told = dict[str, Any]


def insula(*given: str | Path, done: Path) -> None:
    """One verb of the command line, unless the file that it ends with is there; a failed audit is a result too."""
    if done.is_file():
        return
    print("insula", *given, flush=True)
    found = subprocess.run([sys.executable, "-m", "insula", *map(str, given)], check=False)
    if not done.is_file():
        raise SystemExit(f"insula {given[0]} ended with {found.returncode} and without {done}.")


def of_audit(folder: Path) -> Told:
    """Verdicts of an audit: how many, what failed, and the figures of all findings by name."""
    held = json.loads((folder / "audit.json").read_text(encoding="utf-8"))
    findings = {one["check"]: {key: one[key] for key in ("value", "interval", "limit", "verdict", "evidence")}
                for one in held["findings"]}  # fmt: skip
    counts = {v: sum(one["verdict"] == v for one in findings.values()) for v in ("fail", "cannot tell", "pass")}
    return {"counts": counts, "findings": findings, "patients": held["facts"]["patients"]}


def apart(hit: Bools, first: Bools, second: Bools) -> Told:
    """The difference of two independent shares with Newcombe's interval."""
    a, b = (group_difference.share(int((hit & among).sum()), int(among.sum())) for among in (first, second))
    return {"value": a.value - b.value, "interval": list(group_difference.difference(a, b)), "n": a.n + b.n}


def figure(of: Figure) -> Told:
    """A figure as JSON holds it."""
    ends = None if of.interval is None else [float(end) for end in of.interval]
    return {"value": float(of.value), "interval": ends, "n": of.n, "events": of.events}
