"""Every case in which a class is called present: its map, its curves, and the maps of networks that know nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError, InsulaError, UsageError
from insula.core.types import Case, Cohort, FloatArray, Heatmap, Split
from insula.evaluate import curves, localisation
from insula.evaluate import maps as judged
from insula.evaluate.facts import Facts, answers, of_recipe
from insula.evaluate.known import of_bundle
from insula.evaluate.localisation import Ground, Spot
from insula.evaluate.maps import SHUFFLED, Against, MapCase, MapsReport
from insula.evaluate.maps_findings import findings
from insula.evaluate.outcome import Failure
from insula.explain.methods import method as find
from insula.infer.explainer import Asked, Patch
from insula.infer.feed import Views
from insula.infer.predict import Predictor
from insula.metrics import maps
from insula.scans.sandbox import read_files

if TYPE_CHECKING:
    from insula.explain.randomised import Randomised

Progress = Callable[[Iterable[Case], str, int], Iterable[Case]]
_SLOW = ("occlusion", "integrated_gradients")
_PART = 8  # a patch of occlusion is an eighth of the picture


@dataclass(frozen=True)
class Wanted:
    """What is judged. name: the class, the positive one by default. most: cases at most, drawn evenly over patients.

    steps, draws: of the curves, and random orders. networks: how many are drawn anew; 0 leaves that check out.
    """

    method: str = "class_map"
    name: str = ""
    split: Split = "test"
    most: int = 200
    steps: int = curves.STEPS
    draws: int = 2
    networks: int = 3
    seed: int = 0


def _plain(cases: Iterable[Case], label: str, total: int) -> Iterable[Case]:
    return cases


def score(
    bundle: Bundle,
    cohort: Cohort,
    wanted: Wanted,
    shuffled: Bundle | None = None,
    progress: Progress = _plain,
    threads: int | None = None,
) -> MapsReport:
    """Judge the maps of one class on a split. shuffled: a bundle of the same recipe trained on shuffled labels.

    A case that cannot be read becomes an entry in `failures`. Raises EvaluationError where the class is called present
    in no case, UsageError for a class that the bundle does not have, a method that cannot be asked, or a bundle that
    is no such control.
    """
    work = _Work(bundle, cohort, wanted, shuffled, threads)
    cases = work.of_split(wanted.split)
    found, failures = [], list[Failure]()
    for case in progress(cases, "predict", len(cases)):
        try:
            one = work.called(case)
        except (InsulaError, OSError, ValueError, MemoryError) as error:
            failures.append(Failure(case.key, str(error) or type(error).__name__))
            continue
        if one:
            found.append(one)
    if not found:
        raise EvaluationError(
            f"'{work.name}' is called present in none of {len(cases)} cases of the split '{wanted.split}', so that "
            "there is no map to judge; give another --class or --split."
        )
    kept = _evenly(found, wanted.most, wanted.seed)
    rows = []
    for case in progress(kept, "maps", len(kept)):
        try:
            rows.append(work.judge(case))
        except (InsulaError, OSError, ValueError, MemoryError) as error:
            failures.append(Failure(case.key, str(error) or type(error).__name__))
    if not rows:
        raise EvaluationError(f"Not one of {len(kept)} cases could be judged; the first: {failures[0].reason}")
    notes = list(work.notes)
    if len(kept) < len(found):
        notes.append(f"{len(kept)} of the {len(found)} cases called '{work.name}' were drawn, evenly over patients.")
    return _report(work, rows, work.validation(progress), tuple(failures), notes)


class _Work:
    """What is the same for every case."""

    def __init__(
        self, bundle: Bundle, cohort: Cohort, wanted: Wanted, shuffled: Bundle | None, threads: int | None
    ) -> None:
        self.cohort, self.wanted, self.bundle = cohort, wanted, bundle
        self.root = Path(cohort.root)
        recipe = bundle.recipe
        self.facts: Facts = of_recipe(recipe, bundle.decision.thresholds, bundle.decision.power)
        self.name = wanted.name or self.facts.positive
        if self.name not in self.facts.classes:
            raise UsageError(f"There is no class '{self.name}' here; the bundle has: {', '.join(self.facts.classes)}.")
        if recipe.target.kind == "binary" and self.name != self.facts.positive:
            raise UsageError(f"A binary target has one score, that of '{self.facts.positive}'; ask for its maps.")
        self.k = self.facts.classes.index(self.name)
        self.explain = find(wanted.method)
        self.predictor = Predictor(bundle, threads, read_files)
        self.notes: list[str] = []
        self.randomised = self._randomised()
        self.shuffled = None if shuffled is None else Predictor(_control(shuffled, bundle), threads, read_files)

    def _randomised(self) -> Randomised | None:
        if not self.wanted.networks:
            self.notes.append("No weights were drawn anew, since this was not asked for.")
            return None
        from insula.explain.randomised import Randomised

        return Randomised(self.wanted.method, self.wanted.networks, self.wanted.seed)

    def of_split(self, split: Split) -> tuple[Case, ...]:
        """The cases of a split that have a scan of the first role."""
        held = tuple(c for c in self.cohort.of_split(split) if self.bundle.recipe.role in c.scans)
        if not held:
            raise EvaluationError(
                f"The cohort has no case in the split '{split}' with a scan for '{self.bundle.recipe.role}'; split it "
                "first (insula split), or give another --split."
            )
        return held

    def called(self, case: Case) -> Case | None:
        """The case, where the class is called present in it."""
        p = self.predictor.case(case, self.root).probabilities
        return case if answers(np.asarray(p, np.float64)[None], self.facts)[0, self.k] else None

    def asked(self, predictor: Predictor, views: Views, case: Case) -> Asked:
        height = predictor.engine.input_shapes[self.bundle.recipe.role][1]
        size = max(1, height // _PART)
        return Asked(predictor, views, self.k, case.attributes, patch=Patch(size, max(1, size // 2)))

    def ground(self, case: Case) -> Ground:
        """Lesion and region of a case; a mask that cannot be used is said in the notes, once for each reason."""
        role, section = self.bundle.recipe.role, self.bundle.recipe.input
        try:
            return localisation.ground(case, role, self.root, section, always=True)
        except InsulaError as error:
            self.notes.append(f"A lesion mask could not be used: {error}")
            bare = replace(case, scans={**case.scans, role: replace(case.scans[role], mask="")})
            return localisation.ground(bare, role, self.root, section, always=True)

    def truth(self, case: Case, p: FloatArray) -> bool:
        """Whether the case's mask shows the class that is called present, and nothing else."""
        labels = case.labels.get(self.facts.target, ())
        y = np.array([name in labels for name in self.facts.classes])
        called = answers(np.asarray(p, np.float64)[None], self.facts)[0]
        return self.name in localisation.measurable(y, called, self.facts)

    def judge(self, case: Case) -> MapCase:
        """Everything of one case."""
        views, _ = self.predictor.views(case, self.root)
        p = self.probability(views, case)
        asked = self.asked(self.predictor, views, case)
        heat = self.explain(asked).heatmaps
        ground = self.ground(case)
        lesion = ground.lesion if self.truth(case, p) else None
        measured = curves.of_case(
            views,
            {scan: found.array[0] for scan, found in heat.items()},
            lambda changed: float(self.probability(changed, case)[self.k]),
            self.wanted.steps,
            self.wanted.draws,
            self.wanted.seed,
        )
        labels = case.labels.get(self.facts.target, ())
        own = self.spot(heat, ground, lesion)
        others = {}
        for name, maps_of in self.other_maps(asked, views, case).items():
            alike = maps.similarity(*_cells(heat, maps_of, ground, self.bundle.recipe.role))
            others[name] = Against(alike, self.spot(maps_of, ground, lesion))
        region = ground.region
        grown = (
            localisation.grown_map(heat[self.bundle.recipe.role].array[0], region.mask.shape[1:]) if region else None
        )
        return MapCase(
            case.key,
            case.patient,
            tuple(labels),
            localisation.sole([name in labels for name in self.facts.classes], self.facts),
            float(p[self.k]),
            measured,
            own,
            region.name if region else "",
            others,
            maps.share_within(grown, region.mask) if region and grown is not None else float("nan"),
            float(region.mask.mean()) if region else float("nan"),
        )

    def probability(self, views: Views, case: Case) -> FloatArray:
        """What the bundle makes of prepared slices, (K,)."""
        return self.predictor.from_slices(views, case.key, attributes=case.attributes).probabilities

    def other_maps(self, asked: Asked, views: Views, case: Case) -> dict[str, Any]:
        """By the name of each network that knows nothing, its maps by scan."""
        found: dict[str, Any] = dict(self.randomised.maps(asked)) if self.randomised else {}
        if self.shuffled is not None:
            found[SHUFFLED] = self.explain(self.asked(self.shuffled, views, case)).heatmaps
        return found

    def spot(self, heat: Any, ground: Ground, lesion: NDArray[np.bool_] | None) -> Spot | None:
        """Where the map of the first scan of the first role lies."""
        if lesion is None:
            return None
        region = ground.region.mask if ground.region else None
        return localisation.spot(heat[self.bundle.recipe.role], 0, lesion, region)

    def validation(self, progress: Progress) -> list[tuple[str, Spot]]:
        """The spots of validation cases, from which the level of the overlap is chosen; none where that is slow."""
        role = self.bundle.recipe.role
        held = [c for c in self.cohort.of_split("val") if role in c.scans and c.scans[role].mask]
        if self.wanted.split == "val" or self.wanted.method in _SLOW or not held:
            return []
        found = []
        for case in progress(held, "level", len(held)):
            try:
                views, _ = self.predictor.views(case, self.root)
                if not self.truth(case, self.probability(views, case)):
                    continue
                ground = localisation.ground(case, role, self.root, self.bundle.recipe.input)
                heat = self.explain(self.asked(self.predictor, views, case)).heatmaps
                spot = self.spot(heat, ground, ground.lesion)
            except (InsulaError, OSError, ValueError, MemoryError):
                continue  # the level is a matter of orientation: a case less does not change what is judged
            if spot:
                found.append((case.patient, spot))
        return found


def _control(shuffled: Bundle, bundle: Bundle) -> Bundle:
    """The bundle itself, if it is a control of the other."""
    if not of_bundle(shuffled).shuffled:
        raise UsageError(
            f"The bundle {shuffled.id} was not trained on shuffled labels; train one by insula train --shuffle-labels."
        )
    a, b = shuffled.recipe, bundle.recipe
    if (a.inputs, a.targets, a.clinical) != (b.inputs, b.targets, b.clinical):
        raise UsageError(
            f"The bundles {bundle.id} and {shuffled.id} do not have the same inputs and targets; train the control by "
            "the same recipe."
        )
    return shuffled


def _evenly(cases: Sequence[Case], most: int, seed: int) -> list[Case]:
    """At most so many cases, one more of each patient in turn, in their order."""
    if len(cases) <= most:
        return list(cases)
    turn: dict[str, int] = {}
    ranked: list[tuple[int, int, int]] = []
    for place in np.random.default_rng((seed, 89)).permutation(len(cases)).tolist():
        patient = cases[place].patient
        turn[patient] = turn.get(patient, 0) + 1
        ranked.append((turn[patient], len(ranked), place))
    return [cases[place] for place in sorted(place for _, _, place in sorted(ranked)[:most])]


def _cells(
    a: Any, b: Any, ground: Ground, role: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_] | None]:
    """Two maps' values over all scans, and which cells count: of the first scan those that lie in its region."""
    flat, other, among = [], [], []
    for scan, heat in a.items():
        one: Heatmap = b[scan]
        flat.append(heat.array[0].ravel())
        other.append(one.array[0].ravel())
        inside = np.ones(heat.array[0].shape, bool)
        if scan == role and ground.region is not None:
            size = heat.array.shape[3], heat.array.shape[2]
            for i, number in enumerate(heat.slices):
                share = cv2.resize(ground.region.mask[number].astype(np.float32), size, interpolation=cv2.INTER_AREA)
                inside[i] = share >= 0.5
        among.append(inside.ravel())
    kept = np.concatenate(among)
    return np.concatenate(flat), np.concatenate(other), kept if kept.any() else None


def _report(
    work: _Work,
    rows: Sequence[MapCase],
    validation: Sequence[tuple[str, Spot]],
    failures: tuple[Failure, ...],
    notes: list[str],
) -> MapsReport:
    names = list(dict.fromkeys(name for one in rows for name in one.others))
    checks = {name: judged.check(rows, name, work.name, work.facts) for name in names}
    whole = [name for name in names if name.startswith("all weights")]
    cascade = tuple(c for name, c in checks.items() if name not in whole and name != SHUFFLED)
    random, control = tuple(checks[name] for name in whole), checks.get(SHUFFLED)
    deletion, insertion = judged.effect(rows, "deletion"), judged.effect(rows, "insertion")
    patients = [one.patient for one in rows]
    ends = [[one.curves.deletion_random[i] for one in rows] for i in (0, -1)]
    inside, covered = judged.within(rows), (maps.mean(ends[0], patients, ""), maps.mean(ends[1], patients, ""))
    likeness = judged.inside_gain(rows, whole), judged.alike(rows, whole)
    good, bad = findings(inside, covered, deletion, insertion, *likeness, control, cascade)
    facts = {
        "bundle": work.bundle.id,
        "recipe": work.bundle.recipe.name,
        "question": work.bundle.recipe.question,
        "target": work.facts.target,
        "class": work.name,
        "method": work.wanted.method,
        "cohort": work.root.name,
        "split": work.wanted.split,
        "cases": len(rows),
        "patients": len(set(patients)),
        "regions": sorted({one.region for one in rows} - {""}),
        "level": maps.LEVEL,
        "steps": work.wanted.steps,
        "draws": work.wanted.draws,
        "networks": len(random),
        "shuffled": work.shuffled.bundle.id if work.shuffled else "",
        "seed": work.wanted.seed,
    }
    return MapsReport(
        facts,
        judged.lesions_of(rows, work.name, work.facts),
        *inside,
        judged.chosen(validation, rows),
        deletion,
        insertion,
        covered,
        cascade,
        random,
        control,
        good,
        bad,
        tuple(dict.fromkeys(notes)),
        failures,
        tuple(rows),
    )
