"""Labels shuffled over patients: a run on them can only learn what leaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from insula.core.labels import columns
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort


def shuffle_labels(cohort: Cohort, recipe: Recipe) -> Cohort:
    """The cohort with the first target's labels of train and val dealt out anew among patients; test labels stay.

    All cases of a patient get the labels of one other patient's first case, drawn by the recipe's seed within the
    split, so that the number of patients of each class stays. A label in an attribute is shuffled as well.
    """
    name, target = recipe.target_name, recipe.target
    column = target.column or name
    dealt: dict[str, Case] = {}
    for i, split in enumerate(("train", "val")):
        first: dict[str, Case] = {}
        for case in cohort.cases:
            if case.split == split and columns(case, name, target) is not None:
                first.setdefault(case.patient, case)
        order = np.random.default_rng((recipe.seed, 71, i)).permutation(len(first))
        givers = list(first.values())
        dealt |= {patient: givers[j] for patient, j in zip(first, order, strict=True)}

    def changed(case: Case) -> Case:
        giver = dealt.get(case.patient)
        if giver is None or case.split == "test" or columns(case, name, target) is None:
            return case
        labels, attributes = dict(case.labels), dict(case.attributes)
        if name in giver.labels:
            labels[name] = giver.labels[name]
        if column in giver.attributes:
            attributes[column] = giver.attributes[column]
        return replace(case, labels=labels, attributes=attributes)

    return replace(cohort, cases=tuple(changed(case) for case in cohort.cases))
