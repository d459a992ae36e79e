"""A prediction with its decision, written down: the table of writers.

A writer is a plain function `(prediction, decision) -> str`.
"""

from __future__ import annotations

import json
import math
from typing import Any

from insula.core.registry import Registry
from insula.core.types import Answer, Decision, Prediction, Uncertainty
from insula.infer.decide import withheld

WRITERS = Registry("writer", {"json": "insula.infer.writers:to_json", "text": "insula.infer.writers:to_text"})
_DIGITS = 6


def as_dict(prediction: Prediction, decision: Decision) -> dict[str, Any]:
    """Plain data for JSON; probabilities and spreads by class name, heat maps and the embedding left out.

    A rejected scan has no label, and neither probabilities nor anything else that was drawn from them.
    """
    prediction = withheld(prediction, decision)
    spread = prediction.spread
    return {
        "case": prediction.case,
        "bundle": prediction.bundle_id,
        "target": prediction.target,
        "label": decision.label,
        "positive": None if decision.action == "reject" else decision.positive,
        "confidence": round(decision.confidence, _DIGITS),
        "decision": decision.action,
        "reasons": list(decision.reasons),
        "probabilities": named(prediction.classes, prediction.probabilities),
        "spread": None if spread is None else named(prediction.classes, spread),
        "prediction_set": list(prediction.prediction_set),
        "uncertainty": {name: _unsure(prediction.classes, one) for name, one in prediction.uncertainty.items()},
        "domain_score": round(prediction.domain_score, _DIGITS),
        "distances": {name: round(value, _DIGITS) for name, value in prediction.distances.items()},
        "warnings": list(prediction.warnings),
        "also": {name: _answer(answer) for name, answer in prediction.also.items()},
    }


def _unsure(classes: tuple[str, ...], found: Uncertainty) -> dict[str, Any]:
    low, high = named(classes, found.low), named(classes, found.high)
    return {
        "draws": found.draws,
        "mean": named(classes, found.mean),
        "spread": named(classes, found.spread),
        "interval": {name: [low[name], high[name]] for name in classes},
        "entropy": round(found.entropy, _DIGITS),
        "mutual_information": round(found.mutual_information, _DIGITS),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    spread = None if answer.spread is None else named(answer.names, answer.spread)
    return {"kind": answer.kind, "values": named(answer.names, answer.values), "spread": spread}


def named(classes: tuple[str, ...], values: Any) -> dict[str, Any]:
    """Class → value, rounded as all figures that leave the program; None for a value that is not defined."""
    rounded = [round(float(v), _DIGITS) for v in values]
    return {c: v if math.isfinite(v) else None for c, v in zip(classes, rounded, strict=True)}


def to_json(prediction: Prediction, decision: Decision) -> str:
    """`as_dict` as JSON text."""
    return json.dumps(as_dict(prediction, decision), indent=2, ensure_ascii=False, allow_nan=False)


def to_text(prediction: Prediction, decision: Decision) -> str:
    """A few lines for a person; of a rejected scan the reasons alone."""
    if decision.action == "reject":
        return "\n".join([f"{prediction.case}: no answer, reject", *(f"  rejected: {r}" for r in decision.reasons)])
    lines = [f"{prediction.case}: {decision.label} ({decision.confidence:.2f}), {decision.action}"]
    for i, name in enumerate(prediction.classes):
        spread = "" if prediction.spread is None else f" ± {float(prediction.spread[i]):.3f}"
        kept = "  in the prediction set" if name in prediction.prediction_set else ""
        lines.append(f"  {name:<24} {float(prediction.probabilities[i]):.3f}{spread}{kept}")
    for answer in prediction.also.values():
        said = ", ".join(
            f"{name} {float(v):.3f}" + ("" if answer.spread is None else f" ± {float(answer.spread[i]):.3f}")
            for i, (name, v) in enumerate(zip(answer.names, answer.values, strict=True))
        )
        lines.append(f"  {answer.target} ({answer.kind}): {said}")
    for source, found in prediction.uncertainty.items():
        k = prediction.classes.index(decision.label) if decision.label in prediction.classes else 0
        lines.append(
            f"  {found.draws} draws of {source}: {prediction.classes[k]} 95% within {float(found.low[k]):.3f} to "
            f"{float(found.high[k]):.3f}; entropy {found.entropy:.3f}, of it by disagreement "
            f"{found.mutual_information:.4f}"
        )
    lines.append(f"  farther from training than {prediction.domain_score:.0%} of validation scans")
    lines += [f"  referred: {reason}" for reason in decision.reasons]
    lines += [f"  note: {warning}" for warning in prediction.warnings]
    return "\n".join(lines)
