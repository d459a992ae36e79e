"""The two graphs for ONNX Runtime elsewhere, with all that stands beside them in the bundle and is of no patient."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

from insula.bundle.load import read_verified
from insula.core.errors import ExportError
from insula.core.provenance import write_bytes, write_json, write_text
from insula.export import readme
from insula.export.alone import predict
from insula.export.facts import facts, noise
from insula.infer.predict import Predictor

TOLERANCE = 1e-5


def fill(predictor: Predictor, folder: Path) -> None:
    """Write the graphs, model.json, a script that runs them, and arrays to check it by.

    Raises ExportError where the script does not give the bundle's own probabilities for these arrays.
    """
    for name in ("model.onnx", "head.onnx"):
        write_bytes(folder / name, read_verified(predictor.bundle, name))
    write_common(predictor, folder, "predict.py")
    write_text(folder / "README.md", readme.onnx(predictor.bundle.recipe))
    apart = predict.check(folder)
    if not apart <= TOLERANCE:
        raise ExportError(
            f"The script 'predict.py' gives probabilities that differ from the bundle's by {apart:.2g}, and "
            f"{TOLERANCE:g} is the most; this is a fault of Insula: please report it."
        )


def write_common(predictor: Predictor, folder: Path, script: str) -> None:
    """What the ONNX and the safetensors form share: model.json, recipe, card, a script, arrays for its check."""
    for name in ("recipe.yaml", "model-card.md"):
        write_bytes(folder / name, read_verified(predictor.bundle, name))
    scans = noise(predictor)
    for role, scan in scans.items():
        path = folder / "check" / f"{role}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, scan, allow_pickle=False)
    write_json(folder / "model.json", facts(predictor, scans))
    write_text(folder / script, files("insula.export.alone").joinpath(script).read_text(encoding="utf-8"))
