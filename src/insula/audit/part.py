"""What one part of an audit gives: findings, tables, and what has to be said beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from insula.audit.ground import Ground
from insula.core.types import Case, Finding
from insula.infer.predict import Scans
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

Cell = str | int | float | Figure | None
Measured = Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """Rows under named columns; a cell is a text, a number, a figure with its interval, or None for what is not."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """Values (y) with their 95% ends over graded strengths (x), one line a series, as a page draws it."""

    title: str
    x: str
    y: str
    lines: Mapping[str, tuple[tuple[float, float, float, float], ...]]


@dataclass(frozen=True)
class Part:
    """One part of an audit: `Finding.check` begins with its name and a slash."""

    name: str
    title: str
    findings: tuple[Finding, ...]
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One part of an audit as it stands in the table of audits.

    measure: numbers of one case from its scans as they lie in the files, by the names of columns; None where the
    answers of the evaluation are enough. judge: the part, from a table with the measured columns and a row a case, in
    the order of `ground.cases`; a case that could not be measured holds NaN.
    """

    name: str
    title: str
    judge: Callable[[Ground, pd.DataFrame], Part]
    measure: Callable[[Ground, Case, Scans], Measured] | None = None
