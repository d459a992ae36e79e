"""Insula: from a folder of brain scans to a classifier that its owner can defend. Research use only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# Libraries that tell their makers how they are used, unasked: ONNX Runtime keeps an id of the machine and reports each
# model that is loaded. It has to be said before they are imported, and who has said otherwise is heard.
for _name, _told in (
    ("ORT_DISABLE_TELEMETRY", "1"),
    ("RAY_USAGE_STATS_ENABLED", "0"),
    ("HF_HUB_DISABLE_TELEMETRY", "1"),
    ("MLFLOW_DISABLE_TELEMETRY", "true"),
):
    os.environ.setdefault(_name, _told)

if TYPE_CHECKING:
    from insula.api import (
        Case,
        Cohort,
        Decision,
        Explanation,
        Heatmap,
        InsulaError,
        Model,
        Prediction,
        Recipe,
        Result,
        Scan,
        Volume,
        load,
        phantom,
        predict,
        read,
        recipe,
        recipes,
    )
else:

    def __getattr__(name: str) -> object:
        """What `insula.api` has, imported when it is first asked for (PEP 562): `import insula` itself stays quick."""
        if name not in __all__:
            own = name in ("audit", "evaluate", "explain", "export")
            hint = f"; for a model write insula.load(BUNDLE).{name}(...)" if own else ""
            raise AttributeError(f"module 'insula' has no attribute '{name}'{hint}")
        from importlib import import_module

        try:
            found = import_module("insula.api")
        except ModuleNotFoundError as error:
            from insula.core.posix import refusal

            said = refusal(error)
            if said is None:
                raise
            raise said from error
        return globals().setdefault(name, getattr(found, name))

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


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
    "__version__",
    "load",
    "phantom",
    "predict",
    "read",
    "recipe",
    "recipes",
]
