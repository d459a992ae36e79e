"""A folder of cases through a predictor into one JSON file: what a MONAI bundle's inference.json runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from insula.core.errors import InsulaError, UsageError
from insula.core.provenance import write_json
from insula.core.types import Volume
from insula.infer.decide import decide, reject
from insula.infer.predict import Predictor
from insula.infer.writers import as_dict
from insula.scans.sandbox import Sandbox


def predict_folder(predictor: Predictor, folder: str | Path, out: str | Path) -> dict[str, Any]:
    """Predict every case in a folder, write the results to `out` as JSON, and return them.

    A case is an entry of the folder: a scan, or, for a recipe of several inputs, a folder with an entry by role. A case
    that fails has an error in the place of its result. Raises UsageError for a folder without cases.
    """
    folder = Path(folder)
    cases = sorted(p for p in folder.iterdir() if not p.name.startswith(".")) if folder.is_dir() else []
    if not cases:
        raise UsageError(f"There are no cases in '{folder}'; give --dataset_dir a folder that holds one entry a case.")
    with Sandbox() as pool:
        results = [_one(predictor, path, pool) for path in cases]
    content = {"bundle": predictor.bundle.id, "results": results}
    write_json(Path(out), content)
    return content


def _one(predictor: Predictor, path: Path, pool: Sandbox) -> dict[str, Any]:
    recipe = predictor.bundle.recipe
    try:
        volumes: dict[str, tuple[Volume, ...]] = {}
        for role, scan in [(recipe.role, path)] if len(recipe.inputs) == 1 else _by_role(predictor, path):
            volume = pool.read(scan, tiles=recipe.inputs[role].tiles)
            volumes[role] = (*volumes.get(role, ()), volume)
        headers: dict[str, str] = {}
        for volume in (one for several in volumes.values() for one in several):
            headers = {**volume.attributes, **headers}
        prediction = predictor.scans(volumes, path.name, 0, headers, recipe.policy.refer.sources)
    except InsulaError as error:
        said = str(error).replace(f"{path.parent}/", "")
        return {"case": path.name, "error": {"code": error.code, "message": said}, "decision": reject(error).action}
    return as_dict(prediction, decide(prediction, predictor.bundle))


def _by_role(predictor: Predictor, path: Path) -> list[tuple[str, Path]]:
    """The scans of a case's folder: `ct`, `mri`, `mri.2` or `ct.nii.gz`, each with its role."""
    roles = predictor.bundle.recipe.inputs
    entries = sorted(p for p in path.iterdir() if not p.name.startswith(".")) if path.is_dir() else []
    found = [(entry.name.split(".")[0], entry) for entry in entries]
    strange = [entry.name for role, entry in found if role not in roles]
    if strange or not found:
        raise UsageError(
            f"The case '{path.name}' holds {', '.join(strange) or 'nothing'}, and the model takes {', '.join(roles)}; "
            "name each scan by its role."
        )
    return found
