"""Splitting a cohort by patient, stratified by label, so that what is tested was never seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from insula.cohort.duplicates import components
from insula.core.errors import SplitError
from insula.core.provenance import write_text
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Split

Level = Literal["patient", "picture"]
_NAMES: tuple[Split, ...] = ("train", "val", "test")
_FRACTIONS = (0.7, 0.15, 0.15)
_VAL_OF_REST = 0.15


def split(
    cohort: Cohort,
    recipe: Recipe,
    fractions: Sequence[float] = _FRACTIONS,
    level: Level = "patient",
    together: Iterable[Sequence[str]] = (),
) -> Cohort:
    """The cohort with every labelled case in train, val or test; the recipe's seed alone decides the draw.

    fractions: of patients (level patient) or of cases (level picture), in that order, summing to 1. Within each class
    the shares are kept to within one patient, and each class stands in every split where it has enough patients; for
    several labels the class is the primary label and the combinations are spread evenly. Cases without a label get no
    split. together: groups of case keys (duplicates, say) that stand in one split, with their patients at level
    patient; the shares are then kept as closely as whole groups allow. Raises SplitError where patients are not known
    at level patient, or a class has fewer than 2 of them (or of groups).
    """
    _check(cohort, fractions, level)
    joined = _joined(cohort, level, together)
    if joined:
        return _split_groups(cohort, recipe, fractions, level, joined)
    given: dict[str, Split] = {}
    for group in _groups(cohort, recipe, level, least=2).values():
        for unit, number in zip(group, _spread(_shares(len(group), fractions)), strict=True):
            given[unit] = _NAMES[number]
    return _assigned(cohort, given, level)


def _joined(cohort: Cohort, level: Level, together: Iterable[Sequence[str]]) -> list[list[str]]:
    """Units (patients or cases) that hang together by groups of case keys."""
    unit = {case.key: case.patient if level == "patient" else case.key for case in cohort.cases}
    return components((unit[keys[0]], unit[key]) for keys in together for key in keys[1:])


def _split_groups(
    cohort: Cohort, recipe: Recipe, fractions: Sequence[float], level: Level, joined: list[list[str]]
) -> Cohort:
    """A split of whole groups: within each class the largest first, each to the split that lacks most of its share."""
    members, groups = _whole(cohort, recipe, level, joined, least=2)
    given: dict[str, Split] = {}
    for group in groups.values():
        for name, index in _deal(group, members, fractions).items():
            given |= dict.fromkeys(members[name], _NAMES[index])
    return _assigned(cohort, given, level)


def _whole(
    cohort: Cohort, recipe: Recipe, level: Level, joined: list[list[str]], least: int
) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """The labelled units of each group under its leader's name, and by class the leaders as `_groups` draws them."""
    leader = {unit: min(group) for group in joined for unit in group}

    def unit(case: Case) -> str:
        return case.patient if level == "patient" else case.key

    def lead(case: Case) -> str:
        return leader.get(unit(case), unit(case))

    members: dict[str, set[str]] = defaultdict(set)
    for case in cohort.cases:
        if recipe.target_name in case.labels:
            members[lead(case)].add(unit(case))
    as_one = replace(cohort, cases=tuple(replace(case, patient=lead(case)) for case in cohort.cases))
    return members, _groups(as_one, recipe, "patient", least)


def _deal(group: Sequence[str], members: Mapping[str, set[str]], fractions: Sequence[float]) -> dict[str, int]:
    """Which part each name goes to: the largest first, each to the part that lacks most of its share of units."""
    ordered = sorted(group, key=lambda name: -len(members[name]))
    lacking = [share * sum(len(members[name]) for name in group) for share in fractions]
    empty = [i for i in reversed(range(1, len(fractions))) if fractions[i] > 0]
    dealt = {}
    for place, name in enumerate(ordered):
        fullest = max(range(len(fractions)), key=lambda i: lacking[i])
        # the last groups go where nothing stands yet, so that every part can be scored in every class
        index = empty[0] if place > 0 and 0 < len(ordered) - place <= len(empty) else fullest
        empty = [i for i in empty if i != index]
        lacking[index] -= len(members[name])
        dealt[name] = index
    return dealt


def folds(
    cohort: Cohort, recipe: Recipe, k: int, level: Level = "patient", together: Iterable[Sequence[str]] = ()
) -> list[Cohort]:
    """Give k cohorts, each testing another k-th: test is fold i, val 15% of the rest, train what is left; stratified.

    Every labelled patient (or case) is tested exactly once. together: as in `split`. Raises SplitError for k < 2, for a
    class with fewer than k patients (or groups), and as `split`.
    """
    if k < 2:
        raise SplitError(f"{k} folds are too few; give at least 2.")
    _check(cohort, _FRACTIONS, level)
    if joined := _joined(cohort, level, together):
        return _fold_groups(cohort, recipe, k, level, joined)
    groups = _groups(cohort, recipe, level, least=k)
    made: list[Cohort] = []
    numbered = {name: list(zip(group, _spread(_even(len(group), k)), strict=True)) for name, group in groups.items()}
    for fold in range(k):
        given: dict[str, Split] = {}
        for pairs in numbered.values():
            rest = [unit for unit, number in pairs if number != fold]
            given |= dict.fromkeys((unit for unit, number in pairs if number == fold), "test")
            shares = _shares(len(rest), (1 - _VAL_OF_REST, _VAL_OF_REST, 0.0))
            given |= {unit: _NAMES[n] for unit, n in zip(rest, _spread(shares), strict=True)}
        made.append(_assigned(cohort, given, level))
    return made


def _fold_groups(cohort: Cohort, recipe: Recipe, k: int, level: Level, joined: list[list[str]]) -> list[Cohort]:
    members, groups = _whole(cohort, recipe, level, joined, least=k)
    tested = {name: _deal(group, members, [1 / k] * k) for name, group in groups.items()}
    made = []
    for fold in range(k):
        given: dict[str, Split] = {}
        for name, group in groups.items():
            rest = [leader for leader in group if tested[name][leader] != fold]
            parts = dict.fromkeys(group, 2) | _deal(rest, members, (1 - _VAL_OF_REST, _VAL_OF_REST))
            for leader, index in parts.items():
                given |= dict.fromkeys(members[leader], _NAMES[index])
        made.append(_assigned(cohort, given, level))
    return made


def write_files(cohort: Cohort, folder: Path) -> list[Path]:
    """Write train.txt, val.txt and test.txt: one patient id per line (one case key where split by picture), sorted."""
    by_picture = cohort.split_level == "picture"
    if not cohort.split_level:
        raise SplitError("The cohort is not split yet; run insula split first.")
    paths = []
    for name in _NAMES:
        units = sorted({c.key if by_picture else c.patient for c in cohort.of_split(name)})
        if any(unit.splitlines() != [unit] for unit in units):
            raise SplitError("A patient id or case key holds a line break; rename it before writing split files.")
        path = folder / f"{name}.txt"
        write_text(path, "".join(f"{unit}\n" for unit in units))
        paths.append(path)
    return paths


def read_files(cohort: Cohort, folder: Path, level: Level = "patient") -> Cohort:
    """The cohort split as train.txt, val.txt and test.txt say; who stands in none gets no split.

    Raises SplitError for a missing file, an id that the cohort does not have, and an id that stands in two files.
    """
    known = {case.key if level == "picture" else case.patient for case in cohort.cases}
    given: dict[str, Split] = {}
    for name in _NAMES:
        path = folder / f"{name}.txt"
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SplitError(f"'{path.name}' cannot be read in '{folder.name}'; give one id per line.") from error
        for number, unit in enumerate((line.strip() for line in lines), start=1):
            if not unit:
                continue
            if unit not in known:
                raise SplitError(
                    f"'{path.name}', line {number}: the cohort has no such {_unit(level)}; correct the id."
                )
            if given.setdefault(unit, name) != name:
                raise SplitError(
                    f"'{path.name}', line {number}: this {_unit(level)} stands in {given[unit]}.txt too; remove one."
                )
    if level == "patient" and not cohort.patient_ids:
        raise SplitError(_no_patients())
    return _assigned(cohort, given, level)


def _check(cohort: Cohort, fractions: Sequence[float], level: str) -> None:
    if level not in ("patient", "picture"):
        raise SplitError(f"'{level}' is no level to split by; give patient or picture.")
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise SplitError(f"Fractions {tuple(fractions)} are not three shares that sum to 1; give e.g. 0.7 0.15 0.15.")
    if level == "patient" and not cohort.patient_ids:
        raise SplitError(_no_patients())


def _no_patients() -> str:
    return (
        "The patients of this cohort are not known, so it cannot be split by patient; index it with --patient-pattern, "
        "or give --level picture and expect results that are too good."
    )


def _unit(level: str) -> str:
    return "patient" if level == "patient" else "case"


def _groups(cohort: Cohort, recipe: Recipe, level: str, least: int) -> dict[str, list[str]]:
    """Class → its patients (or cases), shuffled by the seed and, for several labels, ordered by their combination."""
    target = recipe.target
    labels: dict[str, set[str]] = defaultdict(set)
    for case in cohort.cases:
        given = case.labels.get(recipe.target_name)
        if given is not None:
            labels[case.patient if level == "patient" else case.key].update(given)
    if not labels:
        raise SplitError(f"No case of the cohort is labelled for '{recipe.target_name}'; index it with labels.")
    random = np.random.default_rng(recipe.seed)
    units = sorted(labels)
    shuffled = [units[i] for i in random.permutation(len(units))]
    groups: dict[str, list[str]] = defaultdict(list)
    for unit in shuffled:
        groups[_stratum(labels[unit], recipe)].append(unit)
    needed = list(target.classes) if target.kind == "multiclass" else [target.positive, f"no {target.positive}"]
    for name in needed:
        count = len(groups.get(name, ()))
        if count < least:
            why = "each split" if least == 2 else "each fold"
            has = f"{count} {_unit(level)}{'' if count == 1 else 's'}"
            raise SplitError(
                f"Class '{name}' has {has} and {least} are needed for {why} to test it; add some, or change the "
                "recipe's classes."
            )
    for group in groups.values():
        group.sort(key=lambda unit: tuple(sorted(labels[unit])))
    return dict(sorted(groups.items()))


def _stratum(labels: set[str], recipe: Recipe) -> str:
    target = recipe.target
    if target.kind == "multiclass":
        # cases of one patient may differ when a table labels each scan: the primary class decides
        return target.positive if target.positive in labels else next(c for c in target.classes if c in labels)
    return target.positive if target.positive in labels else f"no {target.positive}"


def _shares(count: int, fractions: Sequence[float]) -> list[int]:
    """How many of `count` go to each split: largest remainders, then at least one where a share is wanted.

    Where one patient decides, test comes before val: an untested class would go unnoticed.
    """
    exact = [count * f for f in fractions]
    shares = [int(e + 1e-9) for e in exact]
    by_remainder = sorted((0, 2, 1), key=lambda i: round(shares[i] - exact[i], 9))
    for index in by_remainder[: count - sum(shares)]:
        shares[index] += 1
    for index in (0, 2, 1):
        if fractions[index] > 0 and shares[index] == 0:
            largest = max(range(len(shares)), key=lambda i: shares[i])
            if shares[largest] > 1:
                shares[largest] -= 1
                shares[index] += 1
    return shares


def _even(count: int, k: int) -> list[int]:
    return [count // k + (i < count % k) for i in range(k)]


def _spread(shares: Sequence[int]) -> list[int]:
    """Numbers 0..len-1, each `shares` times, spread evenly over the sequence (systematic sampling)."""
    total = sum(shares)
    done = [0] * len(shares)
    order = []
    for place in range(1, total + 1):
        number = max(range(len(shares)), key=lambda i: (shares[i] * place / total - done[i], shares[i] > done[i]))
        done[number] += 1
        order.append(number)
    return order


def _assigned(cohort: Cohort, given: Mapping[str, Split], level: Level) -> Cohort:
    def one(case: Case) -> Case:
        return replace(case, split=given.get(case.patient if level == "patient" else case.key, ""))

    return replace(cohort, cases=tuple(one(c) for c in cohort.cases), split_level=level)
