"""One row of a batch's table: what `insula predict --json` says of a case, or why there is nothing to say."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from insula.bundle.types import Bundle
from insula.core.errors import InsulaError
from insula.core.recipe_policy import Source
from insula.core.types import Decision, Prediction
from insula.infer import answers
from insula.infer.decide import reject
from insula.infer.writers import as_dict

JOIN = "; "
Kind = Literal["text", "number", "count", "flag"]
Columns = dict[str, Kind]
Row = dict[str, Any]


def columns(bundle: Bundle, sources: Collection[Source]) -> Columns:
    """The table's columns in their order. sources: of uncertainty that were asked for, or that the policy needs."""
    recipe = bundle.recipe
    classes = recipe.target.classes
    found: Columns = {
        "case": "text",
        "patient": "text",
        "files": "count",
        "label": "text",
        "positive": "flag",
        "confidence": "number",
        "decision": "text",
        "reasons": "text",
        **{f"p_{name}": "number" for name in classes},
        "prediction_set": "text",
        "domain_score": "number",
    }
    for source in sources:
        found |= {f"{source}_spread_{name}": "number" for name in classes}
        found |= {f"{source}_{figure}": "number" for figure in ("entropy", "mutual_information")}
    for name, target in recipe.further.items():
        found |= {f"{name}_{value}": "number" for value in answers.names(target)}
    return found | {"warnings": "text", "error": "text", "message": "text"}


def answered(prediction: Prediction, decision: Decision) -> Row:
    """The row of a case that was predicted; without figures where it was rejected."""
    told = as_dict(prediction, decision)
    row: Row = {name: told[name] for name in ("label", "positive", "decision", "domain_score")}
    row["confidence"] = None if decision.action == "reject" else told["confidence"]
    row |= {name: JOIN.join(told[name]) for name in ("reasons", "prediction_set", "warnings")}
    row |= {f"p_{name}": value for name, value in told["probabilities"].items()}
    for source, found in told["uncertainty"].items():
        row |= {f"{source}_spread_{name}": value for name, value in found["spread"].items()}
        row |= {f"{source}_{figure}": found[figure] for figure in ("entropy", "mutual_information")}
    for name, answer in told["also"].items():
        row |= {f"{name}_{value}": number for value, number in answer["values"].items()}
    return row


def failed(error: InsulaError) -> Row:
    """The row of a case that could not be read, or that is none for this model."""
    refused = reject(error)
    return {"label": "", "decision": refused.action, "reasons": "", "error": error.code, "message": str(error)}
