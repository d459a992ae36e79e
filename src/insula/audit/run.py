"""An audit of one bundle on one cohort: each scan is read once, disturbed in all ways asked for, and judged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from insula import __version__
from insula.audit.ground import Ground
from insula.audit.outcome import AuditReport
from insula.audit.part import Check, Measured, Part
from insula.core.errors import InsulaError
from insula.core.registry import Registry
from insula.core.types import Case
from insula.evaluate.outcome import Failure
from insula.infer.feature_journal import Entry, Journal, opened

if TYPE_CHECKING:
    import pandas as pd

AUDITS = Registry(
    "audit",
    {
        "evidence": "insula.audit.evidence:CHECK",
        "predictions": "insula.audit.predictions:CHECK",
        "baselines": "insula.audit.baselines:CHECK",
        "background": "insula.audit.background:CHECK",
        "heat": "insula.audit.heat:CHECK",
        "marks": "insula.audit.marks:CHECK",
        "exchange": "insula.audit.exchange:CHECK",
        "skull": "insula.audit.skull:CHECK",
        "robustness": "insula.audit.robustness:CHECK",
        "subgroups": "insula.audit.subgroups:CHECK",
        "calibration": "insula.audit.calibration:CHECK",
        "labels": "insula.audit.labels:CHECK",
        "shift": "insula.audit.shift:CHECK",
    },
)
ORDER = (
    "evidence",
    "predictions",
    "baselines",
    "background",
    "heat",
    "marks",
    "exchange",
    "skull",
    "robustness",
    "subgroups",
    "calibration",
    "labels",
    "shift",
)
_FAILURES = (InsulaError, OSError, ValueError, MemoryError)
Progress = Callable[[Sequence[Case]], Iterable[Case]]


def find(names: Sequence[str] = ()) -> tuple[Check, ...]:
    """The checks of these names, in the order of a report; all where none is named. UsageError for an unknown one."""
    known = (*ORDER, *(name for name in AUDITS if name not in ORDER))
    found: dict[str, Check] = {name: cast(Check, AUDITS.get(name)) for name in (names or known)}
    return tuple(found[name] for name in known if name in found)


def audit(
    ground: Ground, checks: Sequence[Check], journal: Path | None = None, progress: Progress | None = None
) -> AuditReport:
    """Measure every case that a check has to see, and judge.

    journal: a folder in which each measured case is written down at once; a later call with the same bundle, cohort,
    answers, limits, seed and checks goes on where this one stopped, and tries again what failed. A case that cannot be
    read, and one that a check cannot measure, becomes an entry in `failures`, and NaN where nothing was measured.
    """
    seeing = [check for check in checks if check.measure]
    failures: list[Failure] = []
    rows: list[Measured] = []
    if seeing and journal is not None:
        with opened(journal) as kept:
            rows, failures = _measured(ground, seeing, kept, progress)
    elif seeing:
        rows, failures = _measured(ground, seeing, None, progress)
    table = _table(ground, rows)
    parts = tuple(check.judge(ground, table) for check in checks)
    left_out = (*ground.report.failures, *failures)
    return AuditReport(_facts(ground, checks), parts, left_out, table)


def _measured(
    ground: Ground, checks: Sequence[Check], kept: Journal | None, progress: Progress | None
) -> tuple[list[Measured], list[Failure]]:
    content = _content(ground, checks)
    rows: list[Measured] = []
    failures: list[Failure] = []
    for case in progress(ground.cases) if progress else ground.cases:
        entry = kept.entries.get(case.key) if kept else None
        if entry is None or entry.content != content or entry.failure:
            entry = _entry(ground, case, checks, content)
            if kept:
                kept.add(entry)
        rows.append({name: float("nan") if value is None else float(value) for name, value in entry.facts.items()})
        if entry.failure:
            failures.append(Failure(case.key, entry.failure, False, case.patient))
    return rows, failures


def _entry(ground: Ground, case: Case, checks: Sequence[Check], content: str) -> Entry:
    """What the checks measured of a case; what one of them cannot measure leaves what the others could."""
    found: dict[str, float | None] = {}
    try:
        scans = ground.predictor.read(case, ground.root)
    except _FAILURES as error:
        return Entry(case.key, content, None, {}, _said(error))
    failed = []
    for check in checks:
        assert check.measure is not None  # noqa: S101 (those that see a case alone are asked)
        try:
            measured = check.measure(ground, case, scans)
        except _FAILURES as error:
            failed.append(f"{check.name}: {_said(error)}")
            continue
        found |= {name: float(value) if np.isfinite(value) else None for name, value in measured.items()}
    return Entry(case.key, content, None, found, "; ".join(failed))


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _content(ground: Ground, checks: Sequence[Check]) -> str:
    """What a measured case depends on: it is measured anew where any of it is another."""
    told = {
        "version": __version__,
        "bundle": ground.bundle.id,
        "audit": ground.limits.model_dump(mode="json"),
        "checks": [check.name for check in checks],
        "seed": ground.seed,
        "drawn": ground.drawn is not None,
        "root": str(ground.root.resolve()),
        "cohort": [(c.key, c.patient, {r: s.paths for r, s in c.scans.items()}) for c in ground.cases],
        "answers": hashlib.sha256(ground.rows.p.tobytes() + ground.rows.y.tobytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _table(ground: Ground, rows: Sequence[Measured]) -> pd.DataFrame:
    """One row a case with everything measured; without any measuring the cases alone."""
    import pandas as pd

    keys = {"case": [case.key for case in ground.cases], "patient": [case.patient for case in ground.cases]}
    if not rows:
        return pd.DataFrame(keys)
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name, float("nan")) for row in rows] for name in names}
    return pd.DataFrame({**keys, **columns})


def _facts(ground: Ground, checks: Sequence[Check]) -> dict[str, object]:
    rows, source = ground.patients, ground.report.source
    return {
        "bundle": ground.bundle.id,
        "recipe": ground.bundle.recipe.name,
        "question": ground.facts.question,
        "target": ground.facts.target,
        "positive": ground.facts.positive,
        "cohort": ground.root.name,
        "split": source.get("split", ""),
        "cases": len(ground.cases),
        "patients": len(rows.keys),
        "positives": int(ground.positive(rows).sum()),
        "checks": [check.name for check in checks],
        "seed": ground.seed,
        "replicates": ground.replicates,
        "limits": ground.limits.model_dump(mode="json"),
    }


__all__ = ["AUDITS", "ORDER", "Part", "audit", "find"]
