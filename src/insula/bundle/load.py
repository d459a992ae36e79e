"""Opening a bundle: every byte is checked against the manifest before anything of it is believed."""

from __future__ import annotations

import hashlib
import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from insula import __version__
from insula.bundle import baseline_arrays, graph, signature, tensors
from insula.bundle.layout import (
    LIMITS,
    MANIFEST,
    MANIFEST_LIMIT,
    SCHEMA,
    BaselineFile,
    DecisionFile,
    FreeFile,
    Manifest,
)
from insula.bundle.types import Baseline, Bundle, DecisionFacts, FurtherFacts
from insula.core import recipe as recipes
from insula.core import yaml_text
from insula.core.errors import BundleError, EvaluationError, RecipeError
from insula.core.recipe import Recipe
from insula.core.yaml_text import YamlTextError
from insula.metrics.recalibrate import Recalibration, of_dict
from insula.prep.check import checked

_EXPORT = "`insula export RUN COHORT` with this version writes the bundle of a finished run again."
AGAIN = "copy or export the bundle again"
_Model = TypeVar("_Model", bound=BaseModel)


def load(path: Path, signed: bool = True) -> Bundle:
    """Verify and open a bundle's folder.

    signed: whether it has to be signed with one of the keys of INSULA_TRUSTED_KEYS, where these are set; a bundle that
    was made just now is not yet.

    Checked: the set of files (none missing, none extra, no links, none above its size limit), each file's size and
    SHA-256 against manifest.json, the schema version, every JSON file's keys and ranges, that both graphs keep their
    data to themselves, and that the parts fit the recipe. Raises BundleError that names the file, the rule and the
    next step.
    """
    path = Path(path)
    if not path.is_dir():
        raise BundleError(f"There is no bundle folder '{path}'; give the folder that holds {MANIFEST}.")
    raw = _read(path, MANIFEST, MANIFEST_LIMIT)
    if signed:
        has_one = (path / signature.SIGNATURE).exists() or (path / signature.SIGNATURE).is_symlink()
        signature.check(path.name, raw, _read(path, signature.SIGNATURE, signature.LIMIT) if has_one else None)
    manifest = _manifest(raw)
    _check_names(path, manifest)
    data: dict[str, bytes] = {}
    for name, entry in manifest.files.items():
        size = _size(path, name, LIMITS[name])
        if size != entry.bytes:
            raise _changed(name, f"it has {size} bytes and the manifest says {entry.bytes}")
        if name == "weights.safetensors":
            digest = _check_weights(path, name, size)
        else:
            data[name] = _read(path, name, LIMITS[name])
            digest = hashlib.sha256(data[name]).hexdigest()
        if digest != entry.sha256:
            raise _changed(name, "its SHA-256 is not the manifest's")
    for name in ("model.onnx", "head.onnx"):
        if reason := graph.reason_to_refuse(data.pop(name)):
            raise BundleError(f"The bundle's file '{name}' is refused: {reason}; export the bundle again.")
    try:
        return _bundle(path, raw, manifest, data)
    except BundleError as error:
        raise BundleError(
            f"{error} Its files are as they were written, so another version of Insula may have written them: the "
            f"manifest names {manifest.insula}, this is {__version__}. {_EXPORT}"
        ) from error


def _bundle(path: Path, raw: bytes, manifest: Manifest, data: dict[str, bytes]) -> Bundle:
    """The parts of a bundle whose bytes were verified, read and compared with each other."""
    recipe = _recipe(data["recipe.yaml"])
    return Bundle(
        path=path,
        id=hashlib.sha256(raw).hexdigest()[:16],
        recipe=recipe,
        decision=_decision(data["decision.json"], recipe),
        baseline=_baseline(data["baseline.json"], data["baseline.safetensors"], tuple(recipe.inputs)),
        metrics=_json(FreeFile, "metrics.json", data["metrics.json"]).root,
        provenance=_json(FreeFile, "provenance.json", data["provenance.json"]).root,
        files={name: entry.sha256 for name, entry in manifest.files.items()},
    )


def read_verified(bundle: Bundle, name: str) -> bytes:
    """One file's bytes, checked once more against the digest that was loaded: nobody swapped it meanwhile."""
    data = _read(bundle.path, name, LIMITS[name])
    if hashlib.sha256(data).hexdigest() != bundle.files.get(name):
        raise _changed(name, "its SHA-256 is not the one that was verified on opening")
    return data


def _manifest(raw: bytes) -> Manifest:
    loose = _json(FreeFile, MANIFEST, raw).root
    version = loose.get("schema_version")
    if version != SCHEMA:
        author = str(loose.get("insula", "a version that is not named"))[:64]
        newer = isinstance(version, int) and version > SCHEMA
        raise BundleError(
            f"The bundle's '{MANIFEST}' has schema version {version!r}, and this Insula reads version {SCHEMA}: the "
            f"bundle was written by Insula {author}, this is {__version__}. "
            + ("Update Insula to that version or a later one." if newer else _EXPORT)
        )
    return _json(Manifest, MANIFEST, raw)


def _check_names(path: Path, manifest: Manifest) -> None:
    listed, known = set(manifest.files), set(LIMITS)
    present = {entry.name for entry in os.scandir(path)} - {MANIFEST, signature.SIGNATURE}
    for name in sorted(listed - known):
        raise BundleError(f"The bundle's '{MANIFEST}' lists '{name[:80]}', which is no part of a bundle; {AGAIN}.")
    for name in sorted(known - listed):
        raise BundleError(f"The bundle's '{MANIFEST}' does not list '{name}', which every bundle has; {AGAIN}.")
    for name in sorted(known - present):
        raise BundleError(f"The bundle's file '{name}' is missing; {AGAIN}.")
    for name in sorted(present - known):
        raise BundleError(f"The bundle's folder holds '{name[:80]}', which its manifest does not list; remove it.")


def _open(path: Path, name: str, limit: int) -> tuple[BufferedReader, int]:
    try:
        handle = os.open(path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BundleError(f"The bundle's file '{name}' is missing; {AGAIN}.") from error
    except OSError as error:
        reason = "is a link" if (path / name).is_symlink() else "cannot be opened"
        raise BundleError(
            f"The bundle's file '{name}' {reason}; a bundle holds plain, readable files: {AGAIN}."
        ) from error
    state = os.fstat(handle)
    if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
        os.close(handle)
        reason = f"has {state.st_size} bytes, above the limit of {limit}"
        if not stat.S_ISREG(state.st_mode):
            reason = "is no plain file"
        raise BundleError(f"The bundle's file '{name}' {reason}; {AGAIN}.")
    return BufferedReader(os.fdopen(handle, "rb", buffering=0)), state.st_size


def _size(path: Path, name: str, limit: int) -> int:
    stream, size = _open(path, name, limit)
    stream.close()
    return size


def _read(path: Path, name: str, limit: int) -> bytes:
    stream, _ = _open(path, name, limit)
    with stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise BundleError(f"The bundle's file '{name}' grew above the limit of {limit} bytes; {AGAIN}.")
    return data


def _check_weights(path: Path, name: str, size: int) -> str:
    stream, _ = _open(path, name, LIMITS[name])
    with stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        try:
            tensors.header(stream, size)
        except ValueError as error:
            raise _changed(name, str(error)) from error
    return digest


def _changed(name: str, reason: str) -> BundleError:
    return BundleError(f"The bundle's file '{name}' was changed or damaged: {reason}; {AGAIN}.")


def _json(model: type[_Model], name: str, raw: bytes) -> _Model:
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(p) for p in first["loc"])
        place = f", key '{key[:80]}'" if key else ""
        raise BundleError(f"The bundle's file '{name}'{place}: {first['msg']}; {AGAIN}.") from error


def _recipe(raw: bytes) -> Recipe:
    try:
        content = yaml_text.read(raw.decode())
    except (YamlTextError, UnicodeDecodeError) as error:
        raise BundleError(f"The bundle's file 'recipe.yaml' is no YAML; {AGAIN}.") from error
    if not isinstance(content, dict):
        raise BundleError(f"The bundle's file 'recipe.yaml' holds no mapping; {AGAIN}.")
    try:
        return checked(recipes.parse(content, "recipe.yaml"))
    except RecipeError as error:
        raise BundleError(f"The bundle's file 'recipe.yaml' is refused ({error}) {AGAIN.capitalize()}.") from error


def _decision(raw: bytes, recipe: Recipe) -> DecisionFacts:
    file = _json(DecisionFile, "decision.json", raw)
    classes = recipe.target.classes
    if set(file.thresholds) != set(classes):
        raise BundleError(
            f"The bundle's file 'decision.json' has thresholds for {sorted(file.thresholds)} and the recipe's classes "
            f"are {list(classes)}; {AGAIN}."
        )
    if len(file.conformal) != len(classes):
        raise BundleError(
            f"The bundle's file 'decision.json' has {len(file.conformal)} conformal quantiles for {len(classes)} "
            f"classes; {AGAIN}."
        )
    if set(file.further) != set(recipe.further):
        raise BundleError(
            f"The bundle's file 'decision.json' speaks of the further targets {sorted(file.further)} and the recipe "
            f"has {sorted(recipe.further)}; {AGAIN}."
        )
    for name, target in recipe.further.items():
        wanted = len(target.horizons) if target.kind == "survival" else 0
        if (found := len(file.further[name].hazards)) != wanted:
            raise BundleError(
                f"The bundle's file 'decision.json' has {found} hazards for '{name}', and the recipe asks for "
                f"{wanted}; {AGAIN}."
            )
    further = {
        name: FurtherFacts(one.temperature, tuple(np.nan if h is None else h for h in one.hazards), one.power)
        for name, one in file.further.items()
    }
    return DecisionFacts(
        file.thresholds,
        file.temperature,
        file.conformal,
        further,
        file.accept_from,
        file.chosen_on,
        _recalibration(file, recipe),
        file.power,
    )


def _recalibration(file: DecisionFile, recipe: Recipe) -> Recalibration | None:
    how = None if file.recalibration is None else file.recalibration.how
    wanted = None if recipe.policy.calibration == "temperature" else recipe.policy.calibration
    if how != wanted:
        raise BundleError(
            f"The bundle's file 'decision.json' recalibrates by '{how}' and its recipe by '{wanted}'; {AGAIN}."
        )
    if file.recalibration is None:
        return None
    try:
        found = of_dict(file.recalibration.model_dump())
    except EvaluationError as error:
        raise BundleError(f"The bundle's file 'decision.json' is damaged: {error} {AGAIN.capitalize()}.") from error
    if found.kind != recipe.target.kind or len(found.classes) != len(recipe.target.classes):
        raise BundleError(
            f"The bundle's file 'decision.json' recalibrates {len(found.classes)} classes of a {found.kind} target, "
            f"and the recipe has {len(recipe.target.classes)} of a {recipe.target.kind} one; {AGAIN}."
        )
    return found


def _baseline(raw: bytes, table: bytes, roles: tuple[str, ...]) -> Baseline:
    file = _json(BaselineFile, "baseline.json", raw)
    try:
        arrays = baseline_arrays.of_arrays(tensors.read(table), roles)
    except ValueError as error:
        raise BundleError(f"The bundle's file 'baseline.safetensors' is refused: {error}; {AGAIN}.") from error
    return Baseline(**file.model_dump(), **arrays)
