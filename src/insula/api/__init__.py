"""Insula from Python: small, typed, and through the same code as the command line. `import insula as ins` has it all.

    volume = ins.read("scan")
    model = ins.load("runs/first/bundle")
    result = model.predict("scan", uncertainty="policy")

docs/python.md shows it at work. Every error is an `InsulaError`.
"""

from __future__ import annotations

from insula.api.cohort import Cohort
from insula.api.explanation import Explanation
from insula.api.model import Model, load
from insula.api.named_recipe import recipe, recipes
from insula.api.one import predict, read
from insula.api.phantoms import phantom
from insula.api.result import Result
from insula.core.errors import InsulaError
from insula.core.recipe import Recipe
from insula.core.types import Case, Decision, Heatmap, Prediction, Scan, Volume

__all__ = [
    "Case",
    "Cohort",
    "Decision",
    "Explanation",
    "Heatmap",
    "InsulaError",
    "Model",
    "Prediction",
    "Recipe",
    "Result",
    "Scan",
    "Volume",
    "load",
    "phantom",
    "predict",
    "read",
    "recipe",
    "recipes",
]
