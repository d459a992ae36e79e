"""The model card that travels with a bundle: what it is for, what it saw, what was measured, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insula.core.recipe import Recipe
from insula.evaluate.outcome import LIMITS
from insula.report import words

_LIMITS = (
    "It says nothing about patients, scanners and sites unlike those it was evaluated on.",
    "Its probabilities hold at the prevalence of the evaluated cohort; see the table for other prevalences.",
    "A heat map shows what moved the answer, not where the lesion is.",
)


def model_card(
    recipe: Recipe,
    data: Mapping[str, Any],
    report: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
) -> str:
    """A model card as Markdown.

    data: facts on the training data, printed as a list (for instance patients, cases, class counts, split level).
    report: `EvaluationReport.to_dict()` of the cases to quote, or None when nothing was evaluated yet.
    provenance: what `insula.core.provenance.record` gives. limits: sentences to add to the standing ones.
    """
    target = recipe.target
    parts = [
        f"# {recipe.name}",
        f"**{LIMITS}**",
        "## Intended use",
        f"{recipe.question} For research: to study the question on scans of the kind it was trained on, with every "
        "answer read by a person. Not for diagnosis, triage or treatment.",
        _list(
            {
                "input": f"{recipe.input.modality}, one answer per {recipe.input.unit}",
                "preparation": ", ".join(step.name for step in recipe.input.prep),
                "classes": f"{', '.join(target.classes)} ({target.kind}; positive: {target.positive})",
                "network": f"{recipe.model.encoder}, pooling by {recipe.model.pool}, dropout {recipe.model.dropout}",
            }
        ),
        "## Data",
        _list(data) if data else "Nothing is recorded about the training data.",
        "## Figures",
        _figures(report) if report else "Not evaluated yet.",
        "## Limits",
        "\n".join(f"- {line}" for line in (*_LIMITS, *limits)),
    ]
    if provenance:
        shown = {key: provenance[key] for key in ("insula", "created", "python", "machine") if key in provenance}
        parts += ["## Origin", _list(shown)]
    # Markdown lets HTML through; the names and facts of a recipe are text.
    return "\n\n".join(parts).replace("<", "\\<") + "\n"


def _figures(report: Mapping[str, Any]) -> str:
    facts, level = report["facts"], report["patient"]
    name = facts["positive"]
    found = level["classes"][name]
    source = report.get("source") or {}
    on = f" (split '{source['split']}')" if source.get("split") else ""
    parts = []
    if report["optimistic"]:
        parts.append(f"**{report['headline']}** Do not quote the figures below as performance.")
    parts.append(
        f"{name} against the rest, {level['patients']} patients{on}, {found['tp'] + found['fn']} of them positive; 95% "
        "intervals from a bootstrap over patients."
    )
    rows = [
        (words.NAMES[key], _number(f["value"]), _interval(f), _basis(key, f))
        for key, f in ((key, found["figures"][key]) for key in words.ORDER)
    ]
    parts.append(_table(("figure", "value", "95% interval", "on"), rows))
    if report["prevalence"]:
        answers = [
            (words.percent(row["prevalence"]), _range(row["ppv"]), _range(row["npv"])) for row in report["prevalence"]
        ]
        parts.append(_table(("prevalence", "PPV", "NPV"), answers))
    return "\n\n".join(parts)


def _number(x: float | None) -> str:
    return words.number(float("nan") if x is None else x)


def _interval(figure: Mapping[str, Any]) -> str:
    ends = figure["interval"]
    return f"{_number(ends[0])} to {_number(ends[1])}" if ends else str(figure["reason"])


def _basis(name: str, figure: Mapping[str, Any]) -> str:
    share = words.is_share(name)
    return f"{figure['events']} of {figure['n']}" if share else f"{figure['n']}, {figure['events']} positive"


def _range(ends: Sequence[float | None]) -> str:
    value, low, high = (words.percent(float("nan") if x is None else x, 2) for x in ends)
    return f"{value} ({low} to {high})"


def _list(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {str(key).replace('_', ' ')}: {_said(value)}" for key, value in facts.items())


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(str(inner) for inner in value)
    return str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
