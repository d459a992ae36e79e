"""Holding cases out: every case of one site (or scanner, or year), or the test set that a collection came with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from insula.cohort import split as splitting
from insula.cohort.split import Level
from insula.core.errors import SplitError
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort

_VAL_OF_REST = 0.15
_SHOWN = 8


def hold_out(cohort: Cohort, recipe: Recipe, attribute: str, value: str) -> Cohort:
    """The cohort with every patient who has a case of this group in test; the others in train and val, stratified.

    attribute: one of the cases' or of their scans' (site, scanner, manufacturer); value: as the table gives it. Val
    takes 15% of the other patients. Whole patients move: where one stands in several groups, all their cases are
    tested. Cases without a label get no split. Raises SplitError where patients are not known, for an attribute or
    value that no case has (those that there are, are named), and where too few are left to train on.
    """
    if not cohort.patient_ids:
        raise SplitError("The patients of this cohort are not known, so no group can be held out; index it with ids.")
    groups = values(cohort, attribute)
    if value not in groups:
        there = ", ".join(f"{name} ({len(patients)})" for name, patients in list(groups.items())[:_SHOWN])
        raise SplitError(f"No case has {attribute} '{value}'; the cohort has: {there}.")
    tested = groups[value]
    rest = replace(cohort, cases=tuple(c for c in cohort.cases if c.patient not in tested))
    if not rest.cases:
        raise SplitError(f"Every patient has {attribute} '{value}', so none is left to train on; hold another out.")
    parted = splitting.split(rest, recipe, (1 - _VAL_OF_REST, _VAL_OF_REST, 0.0))
    given = {case.patient: case.split for case in parted.cases if case.split}

    def one(case: Case) -> Case:
        if recipe.target_name not in case.labels:
            return replace(case, split="")
        return replace(case, split="test" if case.patient in tested else given.get(case.patient, ""))

    return replace(cohort, cases=tuple(one(case) for case in cohort.cases), split_level="patient")


def keep_test(
    cohort: Cohort, recipe: Recipe, level: Level = "patient", together: Iterable[Sequence[str]] = ()
) -> Cohort:
    """The cohort with its test split as it came, and 15% of the other units taken out of training for validation.

    level, together: as in `split`; groups are kept whole among the other cases alone, since the test split is not
    changed. Raises SplitError where no case is in test, and where a patient stands in test and in train at level
    patient.
    """
    test = {case.key for case in cohort.of_split("test")}
    if not test:
        raise SplitError("No case of this cohort is in test yet; split it without --keep-test.")
    rest = replace(cohort, cases=tuple(case for case in cohort.cases if case.key not in test))
    both = {case.patient for case in rest.cases} & {case.patient for case in cohort.of_split("test")}
    if both and level == "patient":
        raise SplitError(
            f"{len(both)} patients stand in test and in other splits, the first '{min(both)}'; split anew, or give "
            "--level picture and expect results that are too good."
        )
    groups = [kept for keys in together if len(kept := [key for key in keys if key not in test]) > 1]
    parted = splitting.split(rest, recipe, (1 - _VAL_OF_REST, _VAL_OF_REST, 0.0), level, groups)
    given = {case.key: case.split for case in parted.cases}
    cases = tuple(replace(case, split=given.get(case.key, "test")) for case in cohort.cases)
    return replace(cohort, cases=cases, split_level=parted.split_level)


def each_held_out(cohort: Cohort, recipe: Recipe, attribute: str) -> Iterator[tuple[str, Cohort]]:
    """For each value of an attribute the cohort with that group as its test (leave one site out); as `hold_out`."""
    groups = values(cohort, attribute)
    if len(groups) < 2:
        raise SplitError(f"All cases have one {attribute}, so none can be held out; choose another attribute.")
    for value in groups:
        yield value, hold_out(cohort, recipe, attribute, value)


def values(cohort: Cohort, attribute: str) -> dict[str, set[str]]:
    """The values of an attribute and the patients who have each, the most frequent first.

    Raises SplitError for an attribute that no case has, naming those that there are.
    """
    found: dict[str, set[str]] = defaultdict(set)
    names: set[str] = set()
    for case in cohort.cases:
        facts = dict(case.attributes)
        for scan in case.scans.values():
            facts = {**scan.attributes, **facts}
        names |= facts.keys()
        if attribute in facts:
            found[facts[attribute]].add(case.patient)
    if not found:
        there = ", ".join(sorted(names)) or "none"
        raise SplitError(f"No case has an attribute '{attribute}'; the cohort has: {there}.")
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def parse(text: str) -> tuple[str, str]:
    """Attribute and value out of `site=NAME`; SplitError for another form."""
    attribute, equals, value = text.partition("=")
    if not equals or not attribute.strip() or not value.strip():
        raise SplitError(f"'{text}' does not say what to hold out; write e.g. site=NAME.")
    return attribute.strip(), value.strip()
