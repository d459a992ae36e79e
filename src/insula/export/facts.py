"""model.json of an export: what whoever runs the network elsewhere has to know, and an answer to check it by.

Nothing in it is of single patients: no hashes of them, of their files, or of their sites.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from insula import __version__
from insula.bundle.types import Bundle
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import FloatArray
from insula.evaluate.outcome import LIMITS
from insula.infer.feed import of_case
from insula.infer.predict import Predictor
from insula.infer.writers import named
from insula.metrics.probabilities import exclusive

_SLICES = 3


def noise(predictor: Predictor) -> dict[str, FloatArray]:
    """Role → an array (S, C, H, W) in the place of a prepared scan, for the check."""
    draw = np.random.default_rng(0)
    return {role: draw.random((_SLICES, *shape), np.float32) for role, shape in predictor.engine.input_shapes.items()}


def facts(predictor: Predictor, scans: dict[str, FloatArray]) -> dict[str, Any]:
    """The content of model.json; scans: as `noise` gives them, whose answer becomes the check."""
    bundle, recipe = predictor.bundle, predictor.bundle.recipe
    views = {role: (scan,) for role, scan in scans.items()}
    feed = of_case(views, clinical({}, recipe.clinical), predictor.engine.input_shapes, recipe)
    return {
        "made_by": f"Insula {__version__}",
        "limits": LIMITS,
        "bundle": bundle.id,
        "name": recipe.name,
        "question": recipe.question,
        "each_slice_alone": recipe.input.unit == "image" and not recipe.fused,
        "inputs": _inputs(predictor),
        "clinical": [
            {"column": name, "number": value or "as it is"}
            for name, column in recipe.clinical.items()
            for value in (column.values or ("",))
        ],
        "outputs": {
            "logits": ["N", "K"],
            "embedding": ["N", "E"],
            **{f"maps_{role}": ["N", "K", "S", "h", "w"] for role in recipe.inputs},
            **{f"weights_{role}": ["N", "S"] for role in recipe.inputs},
            **({"members": ["N", "M", "K"]} if recipe.model.members > 1 else {}),
        },
        "targets": {
            name: {"kind": t.kind, "classes": list(t.classes), "columns": _columns(recipe, name)}
            for name, t in recipe.targets.items()
        },
        "answer": _answer(bundle),
        "check": {
            "scans": {role: f"check/{role}.npy" for role in scans},
            "logits": predictor.engine.run(feed).logits.astype(np.float64).tolist(),
            "probabilities": named(recipe.target.classes, predictor.from_slices(views, "check").probabilities),
        },
    }


def _inputs(predictor: Predictor) -> list[dict[str, Any]]:
    recipe = predictor.bundle.recipe
    found = []
    for role, section in recipe.inputs.items():
        scale = recipe.model.of(role).normalise or recipe.model.normalise
        found.append(
            {
                "role": role,
                "modality": section.modality,
                "shape": ["N", "S", *predictor.engine.input_shapes[role]],
                "axes": ["input", "slice", "channel", "row", "column"],
                "mask": {"name": f"{role}_mask", "shape": ["N", "B", "S"], "of": "1 where a slice belongs to a scan"},
                "dtype": "float32",
                "prepared_by": [{step.name: step.params} for step in section.prep],
                "normalised_in_the_graph_by": {"mean": list(scale.mean), "std": list(scale.std)},
            }
        )
    return found


def _answer(bundle: Bundle) -> dict[str, Any]:
    recipe, decision = bundle.recipe, bundle.decision
    return {
        "target": recipe.target_name,
        "kind": recipe.target.kind,
        "classes": list(recipe.target.classes),
        "positive": recipe.target.positive,
        "exclusive": exclusive(recipe.target.kind),
        "columns": _columns(recipe, recipe.target_name),
        "temperature": decision.temperature,
        "recalibration": decision.recalibration.to_dict() if decision.recalibration else None,
        "aggregate": recipe.policy.aggregate,
        "power": decision.power,
        "thresholds": dict(decision.thresholds),
        "conformal": {
            "level": recipe.policy.conformal_level,
            "quantiles": dict(zip(recipe.target.classes, decision.conformal, strict=True)),
        },
    }


def _columns(recipe: Recipe, name: str) -> list[int]:
    part = recipe.columns(name)
    return [part.start, part.stop]
