"""What is given on the command line for a bundle or a cohort, opened, with a next step where it is something else."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from pathlib import Path

from insula.bundle import load as bundles
from insula.bundle.types import Bundle
from insula.cohort.table import load as load_cohort
from insula.cohort.table import schema_path
from insula.core.errors import BundleError, CohortError, UsageError
from insula.core.types import Cohort
from insula.evaluate import trivial_features

_MANIFEST = "manifest.json"


def bundle(path: Path) -> Bundle:
    """The bundle in a folder. Raises BundleError that says where the bundle is, or what to give instead."""
    if path.is_file():
        raise BundleError(
            f"'{path.name}' is a file, and a bundle is a folder; a table of predictions made elsewhere is given with "
            "--predictions."
        )
    if path.is_dir() and not (path / _MANIFEST).exists():
        if (path / "bundle" / _MANIFEST).exists():
            raise BundleError(f"'{path}' is the folder of a training run; give the bundle in it, '{path / 'bundle'}'.")
        inside = sorted(one.parent for one in path.glob(f"*/bundle/{_MANIFEST}"))
        if inside:
            raise BundleError(f"'{path}' holds several training runs; give the bundle of one, as '{inside[0]}'.")
        raise BundleError(
            f"'{path}' is no bundle (it has no {_MANIFEST}); give the folder 'bundle' that insula train wrote."
        )
    return bundles.load(path)


def cohort(path: Path) -> Cohort:
    """The cohort in a table. Raises CohortError that says what to give instead."""
    if path.is_dir():
        raise CohortError(
            f"'{path}' is a folder, and a cohort is a table of its cases; make one: insula index {path} --recipe NAME "
            "--out cases.parquet, then insula split."
        )
    if path.is_file() and path.suffix.lower() == ".csv" and not schema_path(path).exists():
        raise CohortError(
            f"'{path.name}' is no cohort's table (there is no {schema_path(path).name} beside it); make one with "
            "insula index. A table of predictions made elsewhere is given with --predictions."
        )
    return load_cohort(path)


def check_without(cohort: Cohort, names: Collection[str]) -> None:
    """Raise UsageError for a column to be left out that the cohort does not have."""
    full = {name for case in cohort.cases for name in trivial_features.facts(case)}
    known = full | {name.split("[")[0].rpartition(".")[2] for name in full}
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            asked = f"did you mean '{close[0]}'?" if close else f"it has {', '.join(sorted(known))}."
            raise UsageError(f"--without {name}: the cohort has no such column; {asked}")
