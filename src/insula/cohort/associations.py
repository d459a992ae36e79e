"""Whether an attribute that has nothing to do with the question tells the classes apart: a shortcut to be learned."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from insula.core.types import Case, Cohort

_MOST_VALUES = 30
_STRONG = 0.3
_SIGNIFICANT = 0.01


@dataclass(frozen=True)
class Association:
    """One attribute against the classes. table: value → class → patients (cases where patients are not known).

    cramers_v: 0 (none) to 1 (the attribute is the class), corrected for bias (Bergsma, J. Korean Stat. Soc. 42, 2013);
    p_value: chi-squared test of independence.
    """

    attribute: str
    counted: str
    table: Mapping[str, Mapping[str, int]]
    cramers_v: float
    p_value: float

    @property
    def strong(self) -> bool:
        """Whether a network could use the attribute instead of the disease."""
        return self.cramers_v >= _STRONG and self.p_value < _SIGNIFICANT

    @property
    def sentence(self) -> str:
        """The figures in words."""
        return f"Cramer's V {self.cramers_v:.2f}, p {self.p_value:.2g}"


def associations(cohort: Cohort) -> tuple[Association, ...]:
    """Every attribute of cases and scans that takes 2 to 30 values, against the labels, the strongest first.

    Numbers with more than 30 values are cut at their thirds. Attributes of the files (size, colour mode, scanner) are
    looked at like those of the patients.
    """
    rows: dict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for case in cohort.cases:
        label = _label(case)
        if not label:
            continue
        unit = case.patient if cohort.patient_ids else case.key
        for name, value in _attributes(case).items():
            rows[name].setdefault(unit, (value, label))
    made = []
    for name, pairs in rows.items():
        values = _grouped([value for value, _ in pairs.values()])
        labels = [label for _, label in pairs.values()]
        if values is None or len(set(values)) < 2 or len(set(labels)) < 2:
            continue
        counts = Counter(zip(values, labels, strict=True))
        shown = {v: {c: counts[v, c] for c in sorted(set(labels))} for v in sorted(set(values))}
        strength, p_value = _test(shown)
        made.append(Association(name, "patients" if cohort.patient_ids else "cases", shown, strength, p_value))
    return tuple(sorted(made, key=lambda a: (-a.cramers_v, a.attribute)))


def _label(case: Case) -> str:
    return ";".join("+".join(names) or "none" for _, names in sorted(case.labels.items()))


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
    return [f"up to {low:g}" if n <= low else f"up to {high:g}" if n <= high else f"above {high:g}" for n in numbers]


def _test(table: Mapping[str, Mapping[str, int]]) -> tuple[float, float]:
    from scipy.stats import chi2_contingency

    counts = np.array([list(row.values()) for row in table.values()], dtype=float)
    result = chi2_contingency(counts, correction=False)
    n, (rows, columns) = counts.sum(), counts.shape
    phi = max(0.0, float(result.statistic) / n - (rows - 1) * (columns - 1) / (n - 1))
    fair_rows = rows - (rows - 1) ** 2 / (n - 1)
    fair_columns = columns - (columns - 1) ** 2 / (n - 1)
    least = min(fair_rows, fair_columns) - 1
    return (min(1.0, float(np.sqrt(phi / least))) if least > 0 else 0.0), float(result.pvalue)
