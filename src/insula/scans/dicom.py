"""One DICOM file as a Volume."""

from __future__ import annotations

from pathlib import Path

from insula.core.types import Volume
from insula.scans import header
from insula.scans.assemble import assemble
from insula.scans.limits import LIMITS, Limits


def read(path: Path, allowed: Limits = LIMITS) -> Volume:
    """One file as a Volume: a single slice, or the frames of a multi-frame file along Z.

    array (C, Z, Y, X) float32, LPS; units HU for CT with a rescale intercept, RGB for colour, a.u. otherwise. What is
    no slice of a scan (a localiser, a screen capture) is read when it is given alone, with a warning.
    Raises ScanError for a file that holds no decodable picture, LimitError for one that asks for too much.
    """
    dataset = header.load(path, allowed, later=True)
    facts = header.facts(dataset, path)
    notes = (f"the file is no slice of a scan ({facts.aside})",) if facts.aside else ()
    return assemble([(facts, dataset)], allowed, notes, str(path))
