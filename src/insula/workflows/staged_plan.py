"""The plan of a staged audit: its stages and the rule that chooses among them, written before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from insula.audit.run import find
from insula.core import recipe as recipes
from insula.core.errors import CohortError, UsageError
from insula.core.provenance import sha256_text, write_json
from insula.core.recipe import HardNegatives, Recipe, Train, TrainStage
from insula.core.types import Cohort
from insula.train import stages
from insula.train.stages import Stage
from insula.workflows import staged_rule

FILE, STAGES = "plan.json", "stages"
BASELINE, HARD = "baseline", "hard-negatives"
CHECKS = ("heat", "marks", "exchange", "skull", "subgroups", "calibration", "labels")
DROPOUTS = (0.0, 0.2, 0.4, 0.6, 0.8)
_SCHEMA = 1
_FREE = ("written",)  # may differ from the plan on disk


@dataclass(frozen=True)
class Asked:
    """What is asked of a staged audit.

    dropouts: that are tried after the hard negatives; the recipe's own is there already. checks: of each stage's audit.
    primary: the figure of validation patients that chooses; by default what the recipe's operating point aims at.
    without: columns that hold the answer. sanity: hold heat against networks with weights drawn anew.
    """

    dropouts: tuple[float, ...] = DROPOUTS
    checks: tuple[str, ...] = CHECKS
    primary: str = ""
    without: tuple[str, ...] = ()
    sanity: bool = True
    seed: int = 0
    replicates: int = 2000


@dataclass(frozen=True)
class Candidate:
    """One network that may be chosen. before: the stage that it is held against. hard: draws the false positives."""

    name: str
    title: str
    before: str
    hard: bool
    dropout: float


def candidates(recipe: Recipe, asked: Asked) -> tuple[Candidate, ...]:
    """The stages in their order, the simplest first."""
    own = recipe.model.dropout
    found = [
        Candidate(BASELINE, "Baseline", "", False, own),
        Candidate(HARD, "Hard negatives", BASELINE, True, own),
    ]
    tried = sorted(set(asked.dropouts) - {own}, key=lambda value: (abs(value - own), value))
    return (*found, *(Candidate(f"dropout-{d:g}", f"Dropout {d:g}", HARD, True, d) for d in tried))


def of_candidate(recipe: Recipe, one: Candidate) -> Recipe:
    """The recipe of a stage: its dropout, and the recipe's hard-negative rounds as stages of training of their own.

    All candidates train these epochs, so that they differ in what is drawn there and in nothing else.
    """
    own, rounds = stages_of(recipe.train), rounds_of(recipe.train)
    last = own[-1]
    more = [TrainStage(train=last.train, epochs=rounds.epochs, lr=last.lr, blocks=last.blocks)] * rounds.rounds
    plain = [TrainStage(train=s.train, epochs=s.epochs, lr=s.lr, blocks=s.blocks) for s in own]
    section = recipe.train.model_copy(
        update={"stages": (*plain, *more), "hard_negatives": rounds.model_copy(update={"rounds": 0})}
    )
    return recipe.model_copy(
        update={"model": recipe.model.model_copy(update={"dropout": one.dropout}), "train": section}
    )


def stages_of(section: Train) -> tuple[Stage, ...]:
    """The stages of training without the hard-negative rounds."""
    return tuple(stage for stage in stages.plan(section) if not stage.hard_round)


def rounds_of(section: Train) -> HardNegatives:
    """How false positives go back into training: as the recipe's section says, one round at least."""
    own = section.hard_negatives
    return own.model_copy(update={"rounds": max(own.rounds, 1)})


def make(cohort: Cohort, recipe: Recipe, asked: Asked) -> dict[str, Any]:
    """The plan as JSON data. Raises UsageError or CohortError for what cannot be carried out."""
    check(cohort, recipe, asked)
    primary = asked.primary or staged_rule.of_point(recipe.policy.operating_point)
    rows = [
        json.dumps(
            [c.key, c.patient, c.split, {t: list(n) for t, n in c.labels.items()}, dict(c.attributes), [*c.scans]],
            sort_keys=True,
        )
        for c in sorted(cohort.cases, key=lambda case: case.key)
    ]
    return {
        "kind": "staged audit plan",
        "schema": _SCHEMA,
        "recipe": recipe.name,
        "recipe_sha256": sha256_text([recipes.dump(recipe)]),
        "cohort_sha256": sha256_text(rows),
        "patients": {s: len({c.patient for c in cohort.of_split(s)}) for s in ("train", "val", "test")},
        "stages": [one.name for one in candidates(recipe, asked)],
        "dropouts": sorted({*asked.dropouts, recipe.model.dropout}),
        "hard_negatives": rounds_of(recipe.train).model_dump(mode="json"),
        "checks": list(asked.checks),
        "without": list(asked.without),
        "sanity": asked.sanity,
        "chosen_on": "val",
        "primary": primary,
        "rule": staged_rule.said(primary, recipe.policy.operating_point),
        "tie": staged_rule.TIE,
        "seed": asked.seed,
        "replicates": asked.replicates,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def check(cohort: Cohort, recipe: Recipe, asked: Asked) -> None:
    """Raise UsageError for what a staged audit cannot do, CohortError for a cohort that lacks a split."""
    find(asked.checks)
    if "evidence" in asked.checks or "baselines" in asked.checks:
        raise UsageError(
            "The checks 'evidence' and 'baselines' speak of a test; they are made there anyway, so leave them out."
        )
    wrong = [d for d in asked.dropouts if not 0.0 <= d < 1.0]
    if wrong:
        raise UsageError(f"A dropout of {wrong[0]:g} cannot be trained; give shares from 0 to below 1.")
    if asked.primary and asked.primary not in staged_rule.PRIMARIES:
        raise UsageError(f"'{asked.primary}' cannot choose a stage; take one of {', '.join(staged_rule.PRIMARIES)}.")
    if asked.primary == "cost" and recipe.policy.operating_point.cost is None:
        raise UsageError("The recipe's operating point has no cost to choose by; set policy.operating_point.cost.")
    if recipe.model.members > 1:
        raise UsageError(
            f"A staged audit trains single networks and the recipe asks for {recipe.model.members}; add "
            "--set model.members=1."
        )
    for split in ("train", "val", "test"):
        if not any(case.split == split for case in cohort.cases):
            raise CohortError(f"The cohort has no case in the split '{split}'; run `insula split` on it first.")


def keep(plan: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Write the plan into the folder, or give back the equal one that stands there.

    Raises UsageError where the plan on disk is another one, or is gone and stages are there already.
    """
    path = folder / FILE
    if not path.is_file():
        if (folder / STAGES).exists():
            raise UsageError(
                f"'{folder}' holds stages and no {FILE}, so nobody knows by which rule they were to be chosen; give "
                "another --out."
            )
        if folder.exists() and any(folder.iterdir()):
            raise UsageError(f"'{folder}' holds something that is no staged audit; give another --out.")
        write_json(path, dict(plan))
        return dict(plan)
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read as a plan; give another --out.") from error
    if not isinstance(held, dict):
        raise UsageError(f"'{path}' is no plan; give another --out.")
    names = [name for name in {**plan, **held} if name not in _FREE and plan.get(name) != held.get(name)]
    if names:
        first = names[0]
        raise UsageError(
            f"The plan in '{path}' differs from what is asked for now in {', '.join(names)} ({first}: "
            f"{held.get(first)!r} there, {plan.get(first)!r} now); ask as it was planned, or give another --out."
        )
    return held
