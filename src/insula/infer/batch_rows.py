"""One row of a batch's table: what `insula predict --json` says of a case, or why there is nothing to say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from insula.bundle.types import Bundle
from insula.core.errors import InsulaError
from insula.core.recipe_policy import Source
from insula.core.types import Decision, Prediction
from insula.infer import answers
from insula.infer.decide import reject
from insula.infer.writers import as_dict

JOIN = "; "
_TEXT, _NUMBER = pa.string(), pa.float64()
Row = dict[str, Any]


def schema(bundle: Bundle, sources: Collection[Source]) -> pa.Schema:
    """The table's columns. sources: of uncertainty that were asked for, or that the policy needs."""
    recipe = bundle.recipe
    classes = recipe.target.classes
    fields = [
        ("case", _TEXT),
        ("patient", _TEXT),
        ("files", pa.int32()),
        ("label", _TEXT),
        ("positive", pa.bool_()),
        ("confidence", _NUMBER),
        ("decision", _TEXT),
        ("reasons", _TEXT),
        *((f"p_{name}", _NUMBER) for name in classes),
        ("prediction_set", _TEXT),
        ("domain_score", _NUMBER),
    ]
    for source in sources:
        fields += [(f"{source}_spread_{name}", _NUMBER) for name in classes]
        fields += [(f"{source}_{figure}", _NUMBER) for figure in ("entropy", "mutual_information")]
    for name, target in recipe.further.items():
        fields += [(f"{name}_{value}", _NUMBER) for value in answers.names(target)]
    return pa.schema([*fields, ("warnings", _TEXT), ("error", _TEXT), ("message", _TEXT)])


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


def table(rows: list[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    """Rows as a table; what a row does not have is null."""
    return pa.table(
        {name: pa.array([row.get(name) for row in rows], columns.field(name).type) for name in columns.names},
        schema=columns,
    )
