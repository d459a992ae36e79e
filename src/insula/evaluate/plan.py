"""The plan of an evaluation: which cases, thresholds and figures, fixed before anything is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from insula.core.provenance import sha256_text
from insula.core.types import Case
from insula.evaluate import files, marks
from insula.evaluate.evidence import Plan
from insula.evaluate.facts import Facts
from insula.evaluate.files import Hashes
from insula.evaluate.marks import Marks

FIGURES = (
    "roc_auc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "f1", "f2", "pr_auc", "mcc", "kappa", "brier",
    "log_loss", "ece",
)  # fmt: skip


def make(
    cases: Sequence[Case],
    facts: Facts,
    found: Hashes,
    split: str,
    models: Mapping[str, Mapping[str, float]],
    replicates: int,
) -> Plan:
    """The plan for these cases. found: SHA-256 of their files. models: what is to be judged, with its thresholds."""
    rows = []
    for case in sorted(cases, key=lambda c: c.key):
        rows += [case.key, case.patient, *case.labels.get(facts.target, ()), "|", *files.of_case(case, found), "\n"]
    test_set = sha256_text(rows)
    several = len(models) > 1
    used = {
        f"{model}: {name}" if several else name: float(value)
        for model, given in models.items()
        for name, value in given.items()
    }
    primary = f"roc_auc of '{facts.positive}' over patients"
    told = [
        test_set,
        split,
        *models,
        facts.target,
        facts.positive,
        *(f"{name}={value!r}" for name, value in sorted(used.items())),
        facts.aggregate,
        primary,
        *FIGURES,
        str(replicates),
        str(facts.seed),
    ]
    return Plan(
        hash=sha256_text(told),
        test_set=test_set,
        cases=len(cases),
        patients=len({case.patient for case in cases}),
        split=split,
        models=tuple(models),
        target=facts.target,
        positive=facts.positive,
        thresholds=used,
        aggregate=facts.aggregate,
        primary=primary,
        figures=FIGURES,
        replicates=replicates,
        seed=facts.seed,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def changes(first: Plan, same_model: Plan | None, now: Plan, before: Marks, here: Marks) -> tuple[str, ...]:
    """What is not as it was planned before the first look, one clause each.

    same_model: the earliest plan for the same models, whose thresholds must not have moved. before, here: the cases of
    the first test set and of this one.
    """
    found = []
    old, new = marks.sides(before, here)
    gone, fresh = set(old) - set(new), set(new) - set(old)
    if gone:
        found.append(f"{len(gone)} of {len(old)} test cases were left out")
    if fresh:
        found.append(f"{len(fresh)} test cases were added")
    relabelled = marks.relabelled(old, new)
    if relabelled and first.target == now.target:
        found.append(f"{relabelled} test cases have another label")
    for name, words in (("target", "target"), ("positive", "positive class"), ("aggregate", "pooling to patients")):
        was, is_now = getattr(first, name), getattr(now, name)
        if was != is_now:
            found.append(f"the {words} is '{is_now}' and was '{was}'")
    if first.figures != now.figures:
        found.append("other figures are computed")
    if same_model and dict(same_model.thresholds) != dict(now.thresholds):
        found.append(f"the thresholds of the same model are {_said(now)} and were {_said(same_model)}")
    return tuple(found)


def _said(plan: Plan) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in sorted(plan.thresholds.items())) or "none"
