"""A bundle in another form, for those who run it elsewhere: ONNX, safetensors or a MONAI bundle.

A form is a plain function `(Predictor, folder) -> None` that fills an empty folder; it may raise ExportError, and then
nothing is left. ONNX and MONAI need no PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from insula.bundle.types import Bundle
from insula.core import scratch
from insula.core.errors import UsageError
from insula.core.registry import Registry
from insula.infer.predict import Predictor

FORMS: Final = Registry(
    "form",
    {
        "onnx": "insula.export.form_onnx:fill",
        "safetensors": "insula.export.form_safetensors:fill",
        "monai": "insula.export.form_monai:fill",
    },
)


def write(bundle: Bundle, form: str, out: Path) -> tuple[str, ...]:
    """Write a verified bundle in a form of the table to a new folder, and return the paths in it.

    Raises UsageError when there is something at `out`, and what the form raises; there is no half-written folder.
    """
    fill = FORMS.get(form)
    with _whole(Path(out)) as folder:
        fill(Predictor(bundle), folder)
        return tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()))


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when all has gone well."""
    if out.is_symlink() or (out.exists() and (not out.is_dir() or any(out.iterdir()))):
        raise UsageError(f"'{out}' exists already; give --out a new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch.beside(out) as working:
        yield working
        working.rename(out)
