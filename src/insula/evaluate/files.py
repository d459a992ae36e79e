"""SHA-256 of the files of cases, each read once for all who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from insula.core import provenance
from insula.core.types import Case

Hashes = Mapping[str, str]


def hashes(cases: Sequence[Case], root: Path) -> dict[str, str]:
    """Path as the cohort gives it → SHA-256; a file that is gone has none."""
    paths = sorted({path for case in cases for scan in case.scans.values() for path in scan.paths})
    return {path: provenance.sha256_file(root / path) for path in paths if (root / path).is_file()}


def of_case(case: Case, found: Hashes) -> tuple[str, ...]:
    """The hashes of a case's files, sorted; empty where one is missing, since the rest would be another case."""
    paths = [path for scan in case.scans.values() for path in scan.paths]
    return tuple(sorted(found[path] for path in paths)) if paths and all(path in found for path in paths) else ()
