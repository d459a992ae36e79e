"""Whether an attribute that has nothing to do with the question tells the classes apart: a shortcut to be learned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insula.core.types import Case, Cohort

_MOST_VALUES = 30
_COMBINATIONS = 6
_STRONG = 0.3
_SIGNIFICANT = 0.01
_FEW = 5.0
_MOST = 5000
_SHUFFLES = 2000
_TITLES = {"mode": "colour mode", "size": "picture size", "format": "file format", "kvp": "tube voltage (kV)"}


@dataclass(frozen=True)
class Association:
    """One attribute against the classes. table: value → class → patients (cases where patients are not known).

    cramers_v: 0 (none) to 1 (the attribute is the class), corrected for bias (Bergsma, J. Korean Stat. Soc. 42, 2013);
    p_value: chi-squared test of independence, by 2,000 permutations of the classes where counts are small (Cochran,
    Biometrics 10, 1954). measured: the attribute is measured on the picture, where the disease itself may show.
    """

    attribute: str
    counted: str
    table: Mapping[str, Mapping[str, int]]
    cramers_v: float
    p_value: float
    measured: bool = False

    @property
    def strong(self) -> bool:
        """Whether a network could use the attribute instead of the disease."""
        return self.cramers_v >= _STRONG and self.p_value < _SIGNIFICANT

    @property
    def sentence(self) -> str:
        """The figures in words."""
        p_value = "p < 0.001" if self.p_value < 0.001 else f"p {self.p_value:.3f}"
        return f"Cramér's V {self.cramers_v:.2f}, {p_value}"

    @property
    def title(self) -> str:
        """The attribute's name for people."""
        return _TITLES.get(self.attribute, self.attribute.replace("_", " "))


def associations(
    cohort: Cohort, more: Sequence[Mapping[str, str]] = (), measured: Collection[str] = ()
) -> tuple[Association, ...]:
    """Every attribute of cases and scans that takes 2 to 30 values, against the labels, the strongest first.

    Numbers with more than 30 values are cut at their thirds. Attributes of the files (size, colour mode, scanner) are
    looked at like those of the patients. more: for each case in turn, attributes beyond those of the cohort; measured:
    the names of those that are measured on the picture.
    """
    rows: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for number, (case, label) in enumerate(zip(cohort.cases, groups(cohort), strict=True)):
        if not label:
            continue
        unit = case.patient if cohort.patient_ids else case.key
        for name, value in (_attributes(case) | dict(more[number] if more else {})).items():
            rows[name].setdefault(unit, (value, label))
    made = []
    for name, pairs in rows.items():
        values = _grouped([value for value, _ in pairs.values()])
        labels = [label for _, label in pairs.values()]
        if values is None or len(set(values)) < 2 or len(set(labels)) < 2:
            continue
        counts = Counter(zip(values, labels, strict=True))
        shown = {v: {c: counts[v, c] for c in sorted(set(labels))} for v in sorted(set(values), key=_natural)}
        strength, p_value = _test(shown)
        counted = "patients" if cohort.patient_ids else "cases"
        made.append(Association(name, counted, shown, strength, p_value, name in measured))
    return tuple(sorted(made, key=lambda a: (-a.cramers_v, a.p_value, a.attribute)))


def _natural(value: str) -> tuple[int, float, str]:
    """Numbers by size, thirds from low to high, then other values by name."""
    number = value.removeprefix("up to ").removeprefix("above ")
    try:
        return 0, float(number) + (1e-9 if value.startswith("above") else 0.0), value
    except ValueError:
        return 1, 0.0, value


def groups(cohort: Cohort) -> list[str]:
    """What each case counts as, "" without a label: its class or, for several labels, few groups that can be compared.

    Where one label goes with every other (`any`), the groups are this label and none; else the combinations, or when
    there are more than six of them how many labels a case has.
    """
    made: list[list[str]] = [[] for _ in cohort.cases]
    for target in sorted({name for case in cohort.cases for name in case.labels}):
        sets = {case.labels[target] for case in cohort.cases if target in case.labels}
        positive = [set(names) for names in sets if names]
        shared = set.intersection(*positive) if positive else set()
        several = any(len(names) > 1 for names in sets)
        for place, case in zip(made, cohort.cases, strict=True):
            names = case.labels.get(target)
            if names is None:
                continue
            if several and names and shared:
                place.append(min(shared))
            elif several and names and len(sets) > _COMBINATIONS:
                place.append("one label" if len(names) == 1 else "several labels")
            else:
                place.append("+".join(names) or "none")
    return [";".join(names) for names in made]


def _attributes(case: Case) -> dict[str, str]:
    found: dict[str, str] = {}
    for scan in case.scans.values():
        found |= scan.attributes
        found["format"] = scan.format
    return found | dict(case.attributes)


def _grouped(values: list[str]) -> list[str] | None:
    """The values themselves when there are few, thirds of their range when they are numbers, else None."""
    if len(set(values)) <= min(_MOST_VALUES, max(2, len(values) // 3)):
        return values
    try:
        numbers = np.array([float(v) for v in values])
    except ValueError:
        return None
    if not np.isfinite(numbers).all():
        return None
    low, high = np.quantile(numbers, (1 / 3, 2 / 3))
    names = (f"up to {low:.4g}", f"up to {high:.4g}", f"above {high:.4g}")
    return [names[int(n > low) + int(n > high)] for n in numbers]


def _test(table: Mapping[str, Mapping[str, int]]) -> tuple[float, float]:
    from scipy.stats import chi2_contingency

    counts = np.array([list(row.values()) for row in table.values()], dtype=float)
    result = chi2_contingency(counts, correction=False)
    n, (rows, columns) = counts.sum(), counts.shape
    phi = max(0.0, float(result.statistic) / n - (rows - 1) * (columns - 1) / (n - 1))
    fair_rows = rows - (rows - 1) ** 2 / (n - 1)
    fair_columns = columns - (columns - 1) ** 2 / (n - 1)
    least = min(fair_rows, fair_columns) - 1
    expected = np.asarray(result.expected_freq)
    few = expected.min() < 1 or (expected < _FEW).mean() > 0.2
    p_value = _permuted(counts, expected, float(result.statistic)) if few and n <= _MOST else float(result.pvalue)
    return (min(1.0, float(np.sqrt(phi / least))) if least > 0 else 0.0), p_value


def _permuted(counts: NDArray[np.float64], expected: NDArray[np.float64], statistic: float) -> float:
    """The share of 2,000 shuffles of the classes (seed 0) with at least this chi-squared, itself counted once."""
    rows, columns = counts.shape
    row_of = np.repeat(np.arange(rows), counts.sum(axis=1).astype(int))
    column_of = np.repeat(np.tile(np.arange(columns), rows), counts.ravel().astype(int))
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(_SHUFFLES):
        places = row_of * columns + rng.permutation(column_of)
        made = np.bincount(places, minlength=rows * columns).reshape(rows, columns)
        hits += bool(((made - expected) ** 2 / expected).sum() >= statistic - 1e-9)
    return (hits + 1) / (_SHUFFLES + 1)
