"""The files of a bundle, their size limits, and the shape of each JSON file."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, RootModel

SCHEMA: Final = 1
MANIFEST: Final = "manifest.json"

_MB: Final = 1 << 20
LIMITS: Final[dict[str, int]] = {
    "recipe.yaml": _MB,
    "model.onnx": 2048 * _MB,
    "head.onnx": 256 * _MB,
    "weights.safetensors": 8192 * _MB,
    "decision.json": _MB,
    "baseline.json": 256 * _MB,
    "baseline.safetensors": 512 * _MB,
    "metrics.json": 16 * _MB,
    "model-card.md": 4 * _MB,
    "provenance.json": 4 * _MB,
}
MANIFEST_LIMIT: Final = _MB

Finite = Annotated[float, Field(allow_inf_nan=False)]
Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Strict):
    """One file's SHA-256 and size in bytes."""

    sha256: Hex
    bytes: Annotated[int, Field(ge=0)]


class Manifest(_Strict):
    """manifest.json."""

    schema_version: int
    insula: Annotated[str, Field(max_length=64)]
    files: dict[str, FileEntry]


class FurtherFile(_Strict):
    """What decision.json says of one further target."""

    temperature: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    hazards: tuple[Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None, ...]
    power: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0


class RecalibrationFile(_Strict):
    """How decision.json says that probabilities are changed after the temperature."""

    how: str
    kind: str
    classes: tuple[tuple[Finite, ...], ...]


class DecisionFile(_Strict):
    """decision.json."""

    thresholds: dict[str, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]]
    temperature: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    conformal: tuple[Annotated[float, Field(ge=0.0, le=1.0)], ...]
    further: dict[str, FurtherFile] = Field(default_factory=dict)
    accept_from: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    chosen_on: tuple[Hex, ...] = ()
    recalibration: RecalibrationFile | None = None
    power: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0


class BaselineFile(_Strict):
    """baseline.json."""

    patients: tuple[Hex, ...]
    files: tuple[Hex, ...]
    salt: Annotated[str, Field(max_length=256)]
    split_level: Annotated[str, Field(pattern=r"^(patient|picture|)$")]
    patient_ids: bool
    class_counts: dict[str, Annotated[int, Field(ge=0)]]
    pixel_mean: Finite
    pixel_std: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
    sites: tuple[Hex, ...] = ()


class FreeFile(RootModel[dict[str, JsonValue]]):
    """metrics.json and provenance.json: any JSON object."""
