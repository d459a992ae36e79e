"""The weights for PyTorch elsewhere, with the recipe that says which network they belong to. Needs PyTorch."""

from __future__ import annotations

from pathlib import Path

from insula.bundle.load import read_verified
from insula.core.errors import ExportError
from insula.core.provenance import write_bytes, write_text
from insula.export import readme
from insula.export.form_onnx import write_common
from insula.infer.predict import Predictor

TOLERANCE = 1e-3


def fill(predictor: Predictor, folder: Path) -> None:
    """Write the weights, model.json, a script that loads them, and arrays to check it by.

    Raises ExportError where the network of these weights does not give what the bundle's graph gives.
    """
    from insula.export.alone import load

    write_bytes(folder / "weights.safetensors", read_verified(predictor.bundle, "weights.safetensors"))
    write_common(predictor, folder, "load.py")
    write_text(folder / "README.md", readme.safetensors(predictor.bundle.recipe))
    apart = load.check(folder)
    if not apart <= TOLERANCE:
        raise ExportError(
            f"The bundle's weights give another answer than its graph (a difference of {apart:.2g}, and {TOLERANCE:g} "
            "is the most): a graph in integers has such weights. Take the bundle that it was made from, or --format "
            "onnx."
        )
