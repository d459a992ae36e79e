"""The parts that an install may lack: what each is for, and the packages it needs by the name they are imported by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from insula.core.errors import MissingPartError


@dataclass(frozen=True)
class Part:
    """One extra of the package. modules: without any one of them the part does not work."""

    use: str
    modules: tuple[str, ...]


PARTS: Final[Mapping[str, Part]] = {
    "evaluate": Part("evaluation, audit, Parquet tables", ("pandas", "pyarrow", "sklearn")),
    "train": Part(
        "training, export, the demo",
        ("torch", "torchvision", "timm", "lightning", "onnx", "onnxscript", "optuna", "torch_pruning"),
    ),
    "serve": Part(
        "the service",
        (
            "alembic",
            "fastapi",
            "fsspec",
            "httpx",
            "jwt",
            "markdown_it",
            "prometheus_client",
            "pwdlib",
            "pydantic_settings",
            "python_multipart",
            "sqlalchemy",
            "uvicorn",
        ),
    ),
    "pacs": Part("DICOM with scanners and archives", ("cryptography", "highdicom", "pynetdicom")),
    "sign": Part("signed bundles", ("cryptography",)),
    "pdf": Part("reports as PDF", ("weasyprint",)),
    "slides": Part("whole-slide images", ("imagecodecs", "tifffile", "tiffslide", "zarr")),
    "client": Part("using a service elsewhere", ("httpx",)),
    "postgres": Part("records in PostgreSQL", ("psycopg",)),
    "s3": Part("files in an object store", ("s3fs",)),
    "cluster": Part("batches on a Ray cluster", ("fsspec", "ray")),
    "summary": Part("summaries by a language model", ("openai",)),
    "traces": Part("traces to OpenTelemetry", ("opentelemetry.sdk",)),
    "track": Part("TensorBoard, MLflow, Weights & Biases", ("mlflow", "tensorboard", "wandb")),
    "explain": Part("gradient explainers of Captum", ("captum",)),
    "maps": Part("UMAP maps", ("umap",)),
    "bias": Part("bias field correction", ("SimpleITK",)),
}


def missing(part: str) -> tuple[str, ...]:
    """Which packages of a part are not installed, by the names they are imported by; nothing is imported."""
    return tuple(name for name in PARTS[part].modules if not _there(name))


def need(part: str, what: str) -> None:
    """Refuse before any work where a part is not whole. what: begins the sentence ("Evaluating").

    Raises MissingPartError, which names what is missing and the command that installs it.
    """
    _refuse(part, what, missing(part))


def need_for_table(path: Path) -> None:
    """Refuse a table that is called .parquet where pyarrow is not installed; CSV needs nothing.

    Raises MissingPartError, which names both ways out.
    """
    if path.suffix.lower() == ".parquet" and not _there("pyarrow"):
        _refuse("evaluate", f"'{path.name}'", ("pyarrow",), f", or use a table in CSV ('{path.stem}.csv')")


def install(part: str) -> str:
    """The command that adds a part."""
    return f"pip install 'insula[{part}]'"


def of_module(module: str) -> str:
    """The part that a module which could not be imported belongs to, "" for one of none."""
    top = module.partition(".")[0]
    return next((name for name, part in PARTS.items() if top in {one.partition(".")[0] for one in part.modules}), "")


def _refuse(part: str, what: str, lacking: tuple[str, ...], otherwise: str = "") -> None:
    if lacking:
        are = "is" if len(lacking) == 1 else "are"
        named = ", ".join(lacking)
        raise MissingPartError(f"{what} needs {named}, which {are} not installed; run: {install(part)}{otherwise}.")


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a dotted name, whose package is missing
        return False
