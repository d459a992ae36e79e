"""Groups of patients from what is known of their cases: age bands, sex, scanner, site, quality, any other column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from insula.core.labels import clinical
from insula.core.recipe_audit import Subgroups
from insula.core.recipe_inputs import ClinicalColumn
from insula.core.types import Case
from insula.evaluate.trivial_features import facts

NOT_KNOWN, SEVERAL, OTHERS = "not known", "several", "other values"
FIRST = ("age", "sex", "scanner", "site")
_AGES = frozenset({"age", "age_years", "patient_age"})
_IDS = frozenset({"patient", "patient_id", "study_uid", "series_uid", "scan", "mask", "label", "labels", "split"})
_ID = re.compile(r".*_(id|uid)")
_FURTHER = re.compile(r".+\.\d+\..+")  # facts about a second scan of the same role
_MISSING = frozenset({"", "n/a", "nan", "unknown", NOT_KNOWN})
_DISTINCT = 6  # more different numbers are cut at their thirds
_NUMBERS = 0.8
_MOST, _RARE = 12, 5

Codes = NDArray[np.intp]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Column:
    """One way to divide the patients: the groups' names in order, and of each patient (P,) the number of its group."""

    name: str
    values: tuple[str, ...]
    codes: Codes


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the patients: name as `sex=F` or `sex=F & age=40-59`, and who belongs to it, (P,)."""

    name: str
    member: Bools


@dataclass(frozen=True)
class Found:
    """Columns that make groups, and what was left out, in words. absent: names asked for that no case carries."""

    columns: tuple[Column, ...]
    notes: tuple[str, ...]
    absent: tuple[str, ...] = ()


def find(
    cases: Sequence[Case],
    patients: Sequence[str],
    positive: Bools,
    wanted: Subgroups,
    without: Collection[str],
    measured: Mapping[str, Floats],
) -> Found:
    """Every column that divides the patients, those of FIRST first; of `wanted.by` where that names any.

    cases: C cases. patients: (P,) their keys, one each; positive: (P,) their truth. without: columns that hold answers,
    never used, as ids are not. measured: numbers (C,) of the cases' scans by name. A patient whose cases tell different
    things is of the group "several"; measured numbers are averaged over a patient's cases.
    """
    place = {key: i for i, key in enumerate(patients)}
    owner = np.array([place[case.patient] for case in cases], dtype=np.intp)
    rows = [facts(case) for case in cases]
    told: dict[str, list[str]] = {}
    for name in _names(rows, wanted, without):
        told[name] = [_clean(row.get(name, "")) for row in rows]
    columns: list[Column] = []
    rare: list[str] = []
    notes: list[str] = []
    for name, texts in told.items():
        made, few = _column(name, texts, owner, len(patients), wanted.age)
        if few and not wanted.by:
            rare.append(name)
        else:
            columns.append(made)
    for name, numbers in measured.items():
        if not wanted.by or name in wanted.by:
            columns.append(_measured(name, numbers, owner, len(patients)))
    columns = [column for column in columns if len(column.values) > 1]
    answers = [column.name for column in columns if _tells(column, positive)]
    if rare:
        notes.append(
            f"Left out, since most of their values are those of fewer than {_RARE} patients: {', '.join(rare)}."
        )
    if answers:
        notes.append(f"Left out, since each of their values goes with one answer: {', '.join(answers)}.")
    kept = _once([column for column in columns if column.name not in answers], notes)
    known = {*told, *measured, *(name.rsplit(".", 1)[-1] for name in told)}
    refused = [name for name in wanted.by if _is_id(name) or name in without]
    if refused:
        notes.append(f"Not used as groups, since they are ids or hold answers: {', '.join(refused)}.")
    absent = tuple(name for name in wanted.by if name not in known and name not in refused)
    return Found(tuple(kept), tuple(notes), absent)


def singles(columns: Sequence[Column]) -> list[Group]:
    """Every group of every column."""
    return [
        Group(f"{column.name}={value}", column.codes == code)
        for column in columns
        for code, value in enumerate(column.values)
    ]


def pairs(columns: Sequence[Column], wanted: Subgroups) -> list[Group]:
    """Groups of two columns at once, of those in `wanted.by` or else in FIRST; those of one column alone are left out.

    Patients of whom something is not known, or who are several things, make no such groups.
    """
    chosen = columns if wanted.by else [column for column in columns if column.name in FIRST]
    found: list[Group] = []
    seen = {group.member.tobytes() for group in singles(columns)}
    for i, first in enumerate(chosen):
        for second in chosen[i + 1 :]:
            for a, one in enumerate(first.values):
                for b, other in enumerate(second.values):
                    member = (first.codes == a) & (second.codes == b)
                    if {one, other} & {NOT_KNOWN, SEVERAL, OTHERS} or not member.any() or member.tobytes() in seen:
                        continue
                    seen.add(member.tobytes())
                    found.append(Group(f"{first.name}={one} & {second.name}={other}", member))
    return found


def _names(rows: Sequence[Mapping[str, str]], wanted: Subgroups, without: Collection[str]) -> list[str]:
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row)
        if not (_FURTHER.fullmatch(name) or _is_id(name) or name in without or name.rsplit(".", 1)[-1] in without)
    ]
    if wanted.by:
        return [name for asked in wanted.by for name in names if asked in (name, name.rsplit(".", 1)[-1])]
    names = [name for name in names if "[" not in name]
    return sorted(names, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), "." in name, name))


def _is_id(name: str) -> bool:
    bare = name.split("[")[0].rsplit(".", 1)[-1]
    return bare in _IDS or _ID.fullmatch(bare) is not None


def _clean(text: str) -> str:
    bare = text.strip().replace("/", "-")
    return "" if text.strip().lower() in _MISSING else bare


def _column(name: str, texts: Sequence[str], owner: Codes, patients: int, ages: Sequence[int]) -> tuple[Column, bool]:
    """The column, and whether it is a text whose values are mostly those of few patients."""
    given = [text for text in texts if text]
    kind = {name: ClinicalColumn(kind="number")}
    numbers = np.array([clinical({name: text}, kind)[0] for text in texts], dtype=np.float64)
    known = np.isfinite(numbers)
    if known.any() and known.sum() >= _NUMBERS * len(given):
        if name.rsplit(".", 1)[-1] in _AGES:
            bands, order = _banded(numbers, ages)
            return _of(name, bands, order, owner, patients), False
        if len(np.unique(numbers[known])) > _DISTINCT:
            return _of(name, *_thirds(numbers), owner, patients), False
    spelt = _spelt(texts)
    held = Counter(text for text, _ in {(text, of) for text, of in zip(spelt, owner.tolist(), strict=True) if text})
    few = sum(count for count in held.values() if count < _RARE)
    common = [text for text, _ in sorted(held.items(), key=lambda item: (-item[1], item[0]))[:_MOST]]
    joined = [text if text in common or not text else OTHERS for text in spelt]
    return _of(name, joined, _ordered(common), owner, patients), 2 * few > sum(held.values())


def _spelt(texts: Sequence[str]) -> list[str]:
    """Each text in the commonest spelling of its letters' case."""
    ways: dict[str, Counter[str]] = {}
    for text in texts:
        ways.setdefault(text.casefold(), Counter())[text] += 1
    chosen = {key: min(counts, key=lambda way: (-counts[way], way)) for key, counts in ways.items()}
    return [chosen[text.casefold()] for text in texts]


def _ordered(values: Sequence[str]) -> list[str]:
    """Numbers by size, then texts by name."""

    def key(value: str) -> tuple[int, float, str]:
        try:
            return 0, float(value), value
        except ValueError:
            return 1, 0.0, value

    return sorted(values, key=key)


def _banded(numbers: Floats, ages: Sequence[int]) -> tuple[list[str], list[str]]:
    starts = sorted(set(ages))
    names = [f"under {starts[0]}"] if starts else ["all"]
    names += [f"{low}-{high - 1}" for low, high in pairwise(starts)]
    names += [f"{starts[-1]} and over"] if starts else []
    at = np.searchsorted(starts, np.nan_to_num(numbers), side="right")
    return [names[i] if finite else "" for i, finite in zip(at, np.isfinite(numbers), strict=True)], names


def _thirds(numbers: Floats) -> tuple[list[str], list[str]]:
    low, high = np.quantile(numbers[np.isfinite(numbers)], (1 / 3, 2 / 3))
    names = [f"up to {low:.4g}", f"{low:.4g} to {high:.4g}", f"above {high:.4g}"]
    at = (numbers > low).astype(int) + (numbers > high)
    return [names[i] if finite else "" for i, finite in zip(at, np.isfinite(numbers), strict=True)], names


def _measured(name: str, numbers: Floats, owner: Codes, patients: int) -> Column:
    known = np.isfinite(numbers)
    size = np.bincount(owner[known], minlength=patients)
    total = np.bincount(owner[known], numbers[known], minlength=patients)
    means = np.where(size > 0, total / np.maximum(size, 1), np.nan)
    if not known.any():
        return Column(name, (NOT_KNOWN,), np.zeros(patients, dtype=np.intp))
    return _of(name, *_thirds(means), np.arange(patients), patients)


def _of(name: str, texts: Sequence[str], order: Sequence[str], owner: Codes, patients: int) -> Column:
    """One group a patient: what all its cases that tell anything tell."""
    said: list[set[str]] = [set() for _ in range(patients)]
    for text, of in zip(texts, owner.tolist(), strict=True):
        if text:
            said[of].add(text)
    each = [NOT_KNOWN if not one else SEVERAL if len(one) > 1 else next(iter(one)) for one in said]
    values = tuple(value for value in dict.fromkeys([*order, OTHERS, SEVERAL, NOT_KNOWN]) if value in set(each))
    return Column(name, values, np.array([values.index(value) for value in each], dtype=np.intp))


def _tells(column: Column, positive: Bools) -> bool:
    """Whether the column is the answer in other words: one value for the positives, one for the negatives."""
    of_positive, of_negative = set(column.codes[positive].tolist()), set(column.codes[~positive].tolist())
    return len(of_positive) == 1 and len(of_negative) == 1 and not of_positive & of_negative


def _once(columns: Sequence[Column], notes: list[str]) -> list[Column]:
    """Each way to divide the patients once; a note says which columns divide them alike."""
    kept: dict[bytes, Column] = {}
    for column in columns:
        _, first, codes = np.unique(column.codes, return_index=True, return_inverse=True)
        alike = np.argsort(np.argsort(first))[codes].tobytes()
        if alike in kept:
            notes.append(f"{column.name} divides the patients as {kept[alike].name} does.")
        else:
            kept[alike] = column
    return list(kept.values())
