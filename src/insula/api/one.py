"""One scan: read it, or have it predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from insula.api.given import AnyScan, Known
from insula.api.model import Model, Uncertain, load
from insula.api.result import Result
from insula.core.errors import UsageError
from insula.core.types import Volume
from insula.scans.sandbox import shared


def read(path: str | Path | Sequence[str | Path], *, series: str | None = None) -> Volume:
    """Read one scan: a file, a folder, DICOMDIR or zip file that holds one, or the files of one; array (C, Z, Y, X).

    series: the one to take where a folder holds several, by its UID or its number. It is decoded in a process of its
    own, with the limits of the command line. Raises ScanError for what is no readable scan, LimitError for one that
    asks for too much.
    """
    if isinstance(path, str | Path):
        return shared().read(Path(path), series=series)
    if series is not None:
        raise UsageError("These are the files of one series already; leave series= out, or give their folder.")
    return shared().read_files([Path(one) for one in path])


def predict(
    bundle: Model | str | Path,
    scan: AnyScan,
    *,
    known: Known | None = None,
    uncertainty: Uncertain | None = None,
    passes: int = 0,
    series: str | None = None,
) -> Result:
    """Predict one case with a bundle, as `Model.predict`; for several cases `load` the bundle once."""
    model = bundle if isinstance(bundle, Model) else load(bundle)
    return model.predict(scan, known=known, uncertainty=uncertainty, passes=passes, series=series)
