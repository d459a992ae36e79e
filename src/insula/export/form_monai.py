"""A MONAI bundle around the whole Insula bundle: what it runs is Insula's predictor, so that it is the same artefact.

Written after MONAI's bundle specification (docs.monai.io, mb_specification): configs/metadata.json,
configs/inference.json, models/, docs/README.md and LICENSE.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from insula import __version__
from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load, read_verified
from insula.bundle.signature import SIGNATURE
from insula.bundle.types import Bundle
from insula.core.errors import ExportError
from insula.core.provenance import write_bytes, write_json, write_text
from insula.evaluate import outcome
from insula.export import readme
from insula.infer.predict import Predictor

SCHEMA = "https://project-monai.github.io/schema/meta_schema_20240725.json"
PLACE = "models/insula"
_LEAST = {"monai": "1.5.0", "torch": "2.10.0"}  # where they are not installed: the least that it was tried with
_UNSTATED = "Not stated; for the owner of the model to say."


def fill(predictor: Predictor, folder: Path) -> None:
    """Write the MONAI bundle; the Insula bundle in it is verified after it was copied."""
    bundle = predictor.bundle
    for name in LIMITS:
        write_bytes(folder / PLACE / name, read_verified(bundle, name))
    for name in (MANIFEST, SIGNATURE):
        if (bundle.path / name).exists():  # not every bundle is signed
            write_bytes(folder / PLACE / name, (bundle.path / name).read_bytes())
    if (copied := load(folder / PLACE).id) != bundle.id:
        raise ExportError(f"The bundle {bundle.id} became {copied} while it was copied; do nothing to it meanwhile.")
    write_json(folder / "configs" / "metadata.json", metadata(predictor))
    write_json(folder / "configs" / "inference.json", inference())
    write_text(folder / "docs" / "README.md", readme.monai(bundle.recipe, bundle.id))
    write_text(folder / "LICENSE", f"The licence of this model: {_UNSTATED} Insula, which runs it, is Apache-2.0.\n")


def inference() -> dict[str, Any]:
    """configs/inference.json: every value can be given on MONAI's command line."""
    return {
        "imports": ["$from pathlib import Path"],
        "bundle_root": ".",
        "dataset_dir": "$str(Path(@bundle_root) / 'scans')",
        "output_file": "$str(Path(@bundle_root) / 'eval' / 'predictions.json')",
        "bundle": {"_target_": "insula.bundle.load.load", "path": f"$Path(@bundle_root) / '{PLACE}'"},
        "predictor": {"_target_": "insula.infer.predict.Predictor", "bundle": "@bundle"},
        "run": [
            {
                "_target_": "insula.export.run_folder.predict_folder",
                "predictor": "@predictor",
                "folder": "@dataset_dir",
                "out": "@output_file",
            }
        ],
    }


def metadata(predictor: Predictor) -> dict[str, Any]:
    """configs/metadata.json."""
    bundle, recipe = predictor.bundle, predictor.bundle.recipe
    target = recipe.target
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"Exported from Insula bundle {bundle.id}."},
        "monai_version": _version("monai"),
        "pytorch_version": _version("torch"),
        "numpy_version": _version("numpy"),
        "required_packages_version": {"insula": __version__, "onnxruntime": _version("onnxruntime")},
        "name": recipe.name,
        "task": recipe.question,
        "description": f"{recipe.question} An Insula bundle, run by Insula's own predictor. {outcome.LIMITS}",
        "intended_use": outcome.LIMITS,
        "authors": _UNSTATED,
        "copyright": _UNSTATED,
        "data_type": "DICOM, NIfTI, pictures or arrays, by content",
        "pred_classes": ", ".join(target.classes),
        "eval_metrics": _figures(bundle),
        "network_data_format": {
            "inputs": {
                role: {
                    "type": "image",
                    "format": "magnitude",
                    "modality": section.modality,
                    "num_channels": predictor.engine.input_shapes[role][0],
                    "spatial_shape": ["*", *predictor.engine.input_shapes[role][1:]],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(i): "prepared" for i in range(predictor.engine.input_shapes[role][0])},
                }
                for role, section in recipe.inputs.items()
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "classes",
                    "num_channels": len(target.classes),
                    "spatial_shape": [],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {str(i): name for i, name in enumerate(target.classes)},
                }
            },
        },
    }


def _figures(bundle: Bundle) -> dict[str, float]:
    """The plain numbers among what was measured on the validation patients."""
    given = bundle.metrics.get("validation", {})
    numbers = given.items() if isinstance(given, dict) else ()
    return {f"validation_{k}": v for k, v in numbers if isinstance(v, int | float)}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return _LEAST[package]
