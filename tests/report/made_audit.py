"""Reports of audits: one with every kind of finding, cell and chart, one of real parts, and empty and crowded ones."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from tests.audit import made_disturbed, made_groups

from insula.audit import robustness, subgroups
from insula.audit.corruptions import chosen
from insula.audit.outcome import AuditReport
from insula.audit.part import Chart, Part, Table
from insula.audit.run import ORDER
from insula.core.recipe_audit import Audit
from insula.core.types import Finding
from insula.evaluate.outcome import Failure
from insula.metrics.intervals import Figure
from insula.report.record import Record

NAN = float("nan")
FIGURE = Figure(0.1234, (0.05, 0.2), "bootstrap", 90, 100, 40)
UNKNOWN = Figure(NAN, None, "", 90, 100, 0, "too few patients")
CELLS = ("a text", 1234, 0.25, 0.00012, -7, 4321.9, FIGURE, UNKNOWN, None, NAN)
LIMIT = 0.05


def facts(word: str = "made-ct", checks: tuple[str, ...] = ORDER, **more: Any) -> dict[str, Any]:
    return {
        "bundle": "ab12" * 16, "recipe": word, "question": "Is there a stroke?", "target": "answer",
        "positive": "stroke", "cohort": "somewhere", "split": "test", "cases": 130, "patients": 120, "positives": 60,
        "checks": list(checks), "seed": 7, "replicates": 2000, "limits": Audit().model_dump(mode="json"), **more,
    }  # fmt: skip


def found(
    check: str, verdict: Any = "fail", value: float = 0.2, ends: Any = (0.1, 0.3), limit: float = LIMIT
) -> Finding:
    return Finding(check, value, ends, limit, verdict, f"What was seen of {check}")


FINDINGS = (
    Finding("evidence/patients", 3.0, None, NAN, "fail", "3 of 120 patients here were in the training data: a, b, c"),
    Finding("evidence/split", 0.0, None, NAN, "fail", "these are the cases of the split 'train'"),
    Finding("evidence/plan", 0.0, None, NAN, "cannot tell", "no plan was written down"),
    Finding("baselines/border", 0.81, (0.72, 0.88), 0.7, "fail", "It orders the patients with a ROC-AUC of 0.810."),
    Finding("marks/text", 0.4, (0.3, 0.5), 0.2, "fail", "Letters are suspected on 30 of 60 positive patients."),
    found("robustness/noise_ct/roc_auc", "cannot tell", 0.04, (-0.02, 0.11)),
    found("robustness/blur/sensitivity", "cannot tell", 0.2, (0.12, 0.3), 0.1),
    found("robustness/jpeg/roc_auc", "pass", -0.001, (-0.01, 0.01)),
    Finding("subgroups/sex=F/sensitivity", NAN, None, 0.1, "cannot tell", "not enough cases: 3 positives in sex=F."),
    found("subgroups/sex=M/roc_auc", "pass", 0.0, (-0.04, 0.03)),
    found("calibration/slope", "cannot tell", 0.3, None, 0.5),
    found("calibration/confidence", "cannot tell", 0.3, (0.2, 0.4), NAN),
    found("labels/contradicted", "cannot tell", NAN, None, NAN),
)  # fmt: skip


def report(findings: tuple[Finding, ...] = FINDINGS, word: str = "made-ct", **more: Any) -> AuditReport:
    """A report whose findings stand in parts of their names; `word` is in every place that comes from outside."""
    names = list(dict.fromkeys(one.check.partition("/")[0] for one in findings))
    parts = [
        Part(name, f"Part {name}", tuple(one for one in findings if one.check.startswith(f"{name}/"))) for name in names
    ]
    rows = tuple((f"row {i}", cell) for i, cell in enumerate(CELLS))
    line = ((1.0, 0.01, -0.02, 0.05), (2.0, 0.1, 0.05, 0.2), (4.0, NAN, NAN, NAN), (8.0, 0.3, 0.3, 0.3))
    parts.append(
        Part(
            "cells",
            f"title {word}",
            (),
            (
                Table(f"table {word}", (f"column {word}", "value"), rows, f"table note {word}"),
                Table("p-values", ("what", "p", "p, corrected"), (("a", 0.0001, 0.25), (f"cell {word}", None, 0.04))),
                Table("Long", ("place", "count"), tuple((f"r{i}", i) for i in range(40))),
            ),
            (
                Chart(f"chart {word}", f"x {word}", f"y {word}", {f"line {word}": line, "other": line[:1]}),
                Chart("nothing", "mm", "lost", {"a": ((1.0, NAN, NAN, NAN),)}),
            ),
            (f"note {word}",),
        )
    )
    table = pd.DataFrame({"case": [f"c{i}" for i in range(3)], "patient": ["a", "b", "c"], "x": [1.0, NAN, 3.0]})
    failures = (Failure(f"case {word}", f"failure {word}"),)
    whole = {"parts": tuple(parts), "failures": failures, "table": table, "facts": facts(word), **more}
    return AuditReport(**whole)


@cache
def plain() -> AuditReport:
    return report()


def empty() -> AuditReport:
    """An audit in which no check had anything to say."""
    parts = (Part("skull", "Does the model need the skull?", (), notes=("The skull was not taken away.",)),)
    return AuditReport(facts(checks=("skull",), split=""), parts, (), pd.DataFrame({"case": [], "patient": []}))


def crowded(count: int = 200, verdict: Any = None) -> AuditReport:
    """Many findings with long names, of all verdicts or of one."""
    which = ("fail", "cannot tell", "pass", "cannot tell")
    group = "manufacturer_model_name=Brilliance iCT 256 with a name without end & age=40-59"
    made = tuple(
        found(f"subgroups/{group} {i}/sensitivity", verdict or which[i % 4], 0.2 + i / 1000, (0.1, 0.4), 0.15)
        for i in range(count)
    )
    return report(made)


@cache
def real() -> AuditReport:
    """Parts as the robustness and subgroup checks make them."""
    rng = np.random.default_rng(5)
    y = rng.random(400) < 0.5
    p = made_groups.scores(y, rng)
    told = made_groups.people(400, rng)
    p = np.where(np.array([one["scanner"] == "S1" for one in told]) & y, 0.4 * p, p)
    of_groups = subgroups.judge(made_groups.ground(y, p, told), pd.DataFrame({"case": range(400)}))
    some = made_disturbed.ground(y[:120], p[:120], replicates=50)
    worse = {
        (one.name, grade): np.clip(p[:120] + 0.1 * k * grade * rng.normal(0, 0.3, 120), 0.001, 0.999)
        for k, one in enumerate(chosen())
        for grade in range(1, 6)
    }
    lost = robustness.judge(some, made_disturbed.disturbed(some, worse, p[:120]))
    first, *rest = report().parts
    return report(parts=(first, *rest[:2], lost, of_groups), word="haemorrhage-ct")


def held(made: AuditReport) -> Record:
    """The record as it comes back from the JSON."""
    more = {
        "cases": {"file": "audit-cases.parquet", "sha256": "cd34" * 16, "rows": 3, "columns": ["case"]},
        "origin": {
            "insula": "0.0", "python": "3.11", "machine": "Linux", "packages": {"numpy": "2"},
            "created": "2026-01-02T03:04:05+00:00",
        },
    }  # fmt: skip
    content: Record = json.loads(json.dumps(made.to_dict() | more, allow_nan=False))
    return content
