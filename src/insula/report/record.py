"""The record of one evaluation as plain data: the one place from which page, card and checklists take every figure."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.errors import EvaluationError
from insula.core.recipe import Recipe
from insula.evaluate.gallery import GalleryItem
from insula.evaluate.outcome import EvaluationReport, plain
from insula.report.derive import derive, with_sets

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
FIGURES, CASES = "report.json", "cases.parquet"
Record = Mapping[str, Any]


def of_report(report: EvaluationReport, bundle: Bundle | None = None, pictures: Sequence[GalleryItem] = ()) -> Record:
    """A report with what is derived from its table, the model it is about, and where it came from.

    What the report itself holds under a name is taken as it is. Values that are not finite become None.
    """
    held = report.to_dict()
    table = cases(report, bundle)
    level = bundle.recipe.policy.conformal_level if bundle else None
    derived = derive(table, report.facts, report.patient.replicates, level)
    record = {
        "schema": SCHEMA,
        **plain(derived),
        **held,
        "model": described(bundle.recipe, bundle) if bundle else None,
        "gallery": [
            {
                "case": item.key,
                "outcome": item.outcome,
                "probability": item.probability,
                "caption": item.caption,
                "file": name_of(item, i) if item.png else None,
            }
            for i, item in enumerate(pictures)
        ],
        "origin": provenance.record(),
        "cases": {
            "file": CASES,
            "sha256": hashlib.sha256(parquet(table)).hexdigest(),
            "rows": len(table),
            "columns": list(table.columns),
        },
    }
    made: Record = plain(record)
    return made


def described(recipe: Recipe, bundle: Bundle | None = None) -> dict[str, Any]:
    """The recipe whole, and of the bundle what may leave it: no hash of a patient or file."""
    content: dict[str, Any] = {"recipe": recipe.model_dump(mode="json", by_alias=True)}
    if bundle:
        baseline = bundle.baseline
        content |= {
            "bundle": bundle.id,
            "thresholds": dict(bundle.decision.thresholds),
            "temperature": bundle.decision.temperature,
            "calibration": recipe.policy.calibration,
            "conformal": list(bundle.decision.conformal),
            "trained_on": {
                "patients": len(baseline.patients),
                "files": len(baseline.files),
                "split_level": baseline.split_level,
                "patient_ids": baseline.patient_ids,
                "training_cases_by_class": dict(baseline.class_counts),
            },
            "metrics": dict(bundle.metrics),
            "origin": dict(bundle.provenance),
        }
    return content


def name_of(item: GalleryItem, place: int) -> str:
    """The file of a gallery's picture below `heatmaps/`."""
    return f"{item.outcome}-{place + 1:02d}.png"


def cases(report: EvaluationReport, bundle: Bundle | None = None) -> pd.DataFrame:
    """The table of predictions, with the bundle's prediction sets beside each row where the bundle is at hand."""
    return with_sets(report.table, report.facts, bundle.decision.conformal) if bundle else report.table


def parquet(table: pd.DataFrame) -> bytes:
    """The table of predictions as the bytes of `cases.parquet`."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


def content(folder: Path) -> Any:
    """What `report.json` in a folder holds, whatever it is about; EvaluationError where there is none."""
    path = folder / FIGURES
    if not path.is_file():
        raise EvaluationError(f"'{folder}' has no {FIGURES}; give a folder of insula evaluate, compare or audit.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise EvaluationError(f"'{path}' is no JSON ({error}); evaluate again.") from error


def load(folder: Path) -> Record:
    """The record of an evaluation, checked against the `cases.parquet` beside it.

    Raises EvaluationError where a file is missing, is no record, or the two do not belong together.
    """
    record, cases = content(folder), folder / CASES
    if not isinstance(record, dict) or record.get("schema") != SCHEMA or "facts" not in record or "cases" not in record:
        raise EvaluationError(
            f"'{folder / FIGURES}' is no record of schema {SCHEMA} of an evaluation; run insula evaluate again."
        )
    if not cases.is_file():
        raise EvaluationError(f"'{folder}' has no {CASES}; give a folder that insula evaluate wrote.")
    if provenance.sha256_file(cases) != record["cases"]["sha256"]:
        raise EvaluationError(
            f"'{cases}' is not the table that the figures in {FIGURES} were made from; evaluate again."
        )
    return record
