"""The one way from a scan to a prediction: evaluation, audit, command line and service all go through here."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Bundle
from insula.core.errors import UnsuitableScanError
from insula.core.labels import clinical
from insula.core.recipe import Input, Recipe, Target
from insula.core.recipe_policy import Source
from insula.core.types import Case, FloatArray, Heatmap, Prediction, Uncertainty, Volume
from insula.infer import (
    answers,
    calibrated,
    conformal,
    domain_scale,
    suitable,
    suitable_size,
    uncertainty,
    uncertainty_draws,
)
from insula.infer.engine import Engine, Outputs
from insula.infer.feed import Feed, Views, of_case
from insula.metrics.aggregate import aggregate
from insula.prep.run import check_modality, prepared_volume, slices
from insula.scans import read as files
from insula.scans.limits import LIMITS, Limits

Scans = Mapping[str, tuple[Volume, ...]]


class Reader(Protocol):
    """Whatever reads the files of one scan as `scans.read.read_files` does."""

    def __call__(self, paths: Sequence[Path], allowed: Limits = LIMITS, tiles: files.Cut = None) -> Volume:
        """The scan in these files."""
        ...


class Predictor:
    """A bundle with its engine, ready for scans; safe to call from several threads.

    reader: how the files of a case are read; in this process by default, in others by `Sandbox.read_files`. spins: of
    the engine; False where cases are read, or requests answered, while the network is at work.
    passes: dropout passes behind `Prediction.spread`; 0 leaves the spread out. ask: sources of uncertainty, `dropout`
    with the recipe's number of passes where `passes` is 0. attributes: what is known of the patient by the names of the
    recipe's clinical columns; what is absent is missing, for which the network was trained.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, reader: Reader = files.read_files, spins: bool = True
    ) -> None:
        self.bundle = bundle
        self.reader = reader
        self.engine = Engine(bundle, threads, spins)

    def path(self, path: Path, passes: int = 0, ask: Collection[Source] = ()) -> Prediction:
        """Predict the scan in a file or folder; the prediction's case is the path's last name."""
        return self.volume(files.read(path, tiles=self.bundle.recipe.input.tiles), path.name, passes, ask=ask)

    def case(self, case: Case, root: Path, passes: int = 0, ask: Collection[Source] = ()) -> Prediction:
        """Predict a case of a cohort whose files lie under root."""
        prepared, warnings = self.views(case, root)
        return self.from_slices(prepared, case.key, passes, warnings, case.attributes, ask)

    def volume(
        self,
        volume: Volume,
        key: str,
        passes: int = 0,
        attributes: Mapping[str, str] | None = None,
        ask: Collection[Source] = (),
    ) -> Prediction:
        """Predict a scan in memory, of the first role. Raises UnsuitableScanError when the recipe does not take it."""
        prepared, warnings = self.prepare(volume)
        return self.from_slices(prepared, key, passes, warnings, attributes, ask)

    def prepare(self, volume: Volume, role: str | None = None) -> tuple[FloatArray, tuple[str, ...]]:
        """The scan as the network gets it (S, C, H, W), and what has to be said of it.

        role: of the recipe's inputs, the first by default. The warnings are those of the file, those of the preparation
        steps, and what could not be checked. Raises UnsuitableScanError for what is no such scan.
        """
        recipe = self.bundle.recipe
        name = role or recipe.role
        section, rules = recipe.inputs[name], recipe.policy.refuse
        check_modality(volume, section)
        unchecked = suitable.before(volume, section, self.engine.input_shapes[name], rules)
        sized = suitable_size.of_head(volume, section, rules)
        prepared = prepared_volume(volume, section)
        made = slices(prepared)
        suitable.after(made, rules)
        return made, (*prepared.warnings, *_cautions(volume, prepared, section), *unchecked, *sized)

    def views(self, case: Case, root: Path) -> tuple[Views, tuple[str, ...]]:
        """All scans of a case as the network gets them, role → (S, C, H, W) of each, and what has to be said of them.

        A role that the case lacks is left out, where the recipe has others; UnsuitableScanError when it lacks them all.
        """
        found, warnings = self._all(self._read(case, root))
        if not found:
            raise UnsuitableScanError(
                f"The case has scans for {sorted(case.scans)}, and the recipe takes {_listed(self.bundle.recipe)}; "
                "index the cohort with this recipe."
            )
        return found, warnings

    def read(self, case: Case, root: Path) -> Scans:
        """All scans of a case as they lie in the files, by role, for what changes them before preparation."""
        found: dict[str, tuple[Volume, ...]] = {}
        for role, volume in self._read(case, root):
            found[role] = (*found.get(role, ()), volume)
        return found

    def scans(
        self,
        volumes: Scans,
        key: str,
        passes: int = 0,
        attributes: Mapping[str, str] | None = None,
        ask: Collection[Source] = (),
    ) -> Prediction:
        """Predict scans in memory, by role, as `case` predicts those that `read` gives."""
        prepared, warnings = self.prepared_of(volumes)
        return self.from_slices(prepared, key, passes, warnings, attributes, ask)

    def prepared_of(self, volumes: Scans) -> tuple[Views, tuple[str, ...]]:
        """Scans in memory as the network gets them, as `views` gives those of a case."""
        return self._all((role, one) for role, several in volumes.items() for one in several)

    def _read(self, case: Case, root: Path) -> Iterator[tuple[str, Volume]]:
        for role, section in self.bundle.recipe.inputs.items():
            for scan in case.scans_of(role):
                yield role, self.reader([root / p for p in scan.paths], tiles=section.tiles)

    def _all(self, volumes: Iterable[tuple[str, Volume]]) -> tuple[Views, tuple[str, ...]]:
        found: dict[str, tuple[FloatArray, ...]] = {}
        warnings: list[str] = []
        for role, volume in volumes:
            prepared, said = self.prepare(volume, role)
            found[role] = (*found.get(role, ()), prepared)
            warnings += said
        return found, tuple(dict.fromkeys(warnings))

    def prepared(self, case: Case, root: Path) -> FloatArray:
        """The scan of a case's first role as the network gets it: (S, C, H, W), all scans of the role in a row."""
        found, _ = self.views(case, root)
        return np.concatenate(found[next(iter(found))])

    def from_slices(
        self,
        prepared: FloatArray | Views,
        key: str,
        passes: int = 0,
        warnings: tuple[str, ...] = (),
        attributes: Mapping[str, str] | None = None,
        ask: Collection[Source] = (),
    ) -> Prediction:
        """Predict from slices that `prep.run.prepare` gave, e.g. out of the prepared cache.

        prepared: role → slices of each scan, or the slices of the first role's one scan.
        """
        facts, recipe = self.bundle.decision, self.bundle.recipe
        views = {recipe.role: (prepared,)} if isinstance(prepared, np.ndarray) else prepared
        known = clinical(attributes or {}, recipe.clinical)
        feed = of_case(views, known, self.engine.input_shapes, recipe)
        outputs = self.engine.run(feed)
        per_input = self._probabilities(outputs.logits)
        probabilities = aggregate(per_input, recipe.policy.aggregate, recipe.target.kind, facts.power).astype(
            np.float32
        )
        drawn, without = self._draws(feed, outputs, passes, ask)
        sure: dict[str, Uncertainty] = {
            source: uncertainty.of_draws(self._pooled(columns), recipe.target.kind, recipe.target.positive_index)
            for source, columns in drawn.items()
        }
        looks = domain_scale.looks_of(views, self.bundle.baseline)
        domain_score, distances = domain_scale.of_looks(outputs.embedding, looks, self.bundle.baseline)
        return Prediction(
            case=key,
            bundle_id=self.bundle.id,
            target=recipe.target_name,
            classes=recipe.target.classes,
            probabilities=probabilities,
            spread=sure["dropout"].spread if "dropout" in sure else None,
            prediction_set=_with_any(
                conformal.prediction_set(probabilities, facts.conformal, recipe.target.classes, recipe.target.kind),
                recipe.target,
            ),
            domain_score=domain_score,
            embedding=case_embedding(outputs),
            heatmaps=heatmaps(outputs, views, recipe),
            warnings=(*warnings, *_missing(views, known, recipe), *without),
            also=answers.further(outputs.logits, drawn.get("dropout"), recipe, facts.further),
            uncertainty=sure,
            distances=distances,
            looks=looks,
        )

    def draws(
        self,
        prepared: FloatArray | Views,
        source: Source,
        passes: int = 0,
        attributes: Mapping[str, str] | None = None,
    ) -> NDArray[np.float64]:
        """Probabilities (T, K) of the case, one row a draw, pooled over its inputs; passes: 0 takes the recipe's.

        Raises ValueError where the source has no draws for this model.
        """
        recipe = self.bundle.recipe
        views = {recipe.role: (prepared,)} if isinstance(prepared, np.ndarray) else prepared
        feed = of_case(views, clinical(attributes or {}, recipe.clinical), self.engine.input_shapes, recipe)
        outputs = self.engine.run(feed)
        passes = passes or recipe.policy.passes
        return self._pooled(uncertainty_draws.draw(source, self.engine, recipe, feed, outputs, passes))

    def _draws(
        self, feed: Feed, outputs: Outputs, passes: int, ask: Collection[Source]
    ) -> tuple[dict[Source, FloatArray], tuple[str, ...]]:
        """Columns (T, N, K) of each source that is asked for, and why one has none."""
        recipe = self.bundle.recipe
        found: dict[Source, FloatArray] = {}
        without = []
        for source in uncertainty.SOURCES:
            if source not in ask and not (source == "dropout" and passes):
                continue
            if reason := uncertainty_draws.why_none(source, recipe, outputs):
                without.append(reason)
                continue
            number = passes or recipe.policy.passes
            found[source] = uncertainty_draws.draw(source, self.engine, recipe, feed, outputs, number)
        return found, tuple(without)

    def _probabilities(self, logits: FloatArray) -> NDArray[np.float64]:
        recipe = self.bundle.recipe
        own = logits[..., recipe.columns(recipe.target_name)]
        return calibrated.probabilities(own, self.bundle.decision, recipe.target.kind)

    def _pooled(self, sampled: FloatArray) -> NDArray[np.float64]:
        recipe = self.bundle.recipe
        p = self._probabilities(sampled)
        if p.shape[1] == 1:  # of one input there is nothing to pool, and some thirty draws of it
            return p[:, 0]
        how, kind, power = recipe.policy.aggregate, recipe.target.kind, self.bundle.decision.power
        return np.stack([aggregate(rows, how, kind, power) for rows in p])


def case_embedding(outputs: Outputs) -> FloatArray:
    """One embedding (E,) of one case: the mean over its inputs."""
    mean: FloatArray = outputs.embedding.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def heatmaps(outputs: Outputs, views: Views, recipe: Recipe) -> dict[str, Heatmap]:
    """The class maps of each scan of one case, under `role`, `role.2` and so on; one map for each slice."""
    found: dict[str, Heatmap] = {}
    for role, bags in views.items():
        if recipe.inputs[role].unit == "image" and not recipe.fused:
            array = outputs.maps[role][:, :, 0].transpose(1, 0, 2, 3)
            weights = np.full(array.shape[1], 1.0 / array.shape[1], np.float32)
        else:
            array, weights = outputs.maps[role][0], outputs.slice_weights[role][0]
        at = 0
        for b, bag in enumerate(bags):
            part = slice(at, at + len(bag))
            name = role if b == 0 else f"{role}.{b + 1}"
            found[name] = Heatmap(np.ascontiguousarray(array[:, part]), tuple(range(len(bag))), weights[part])
            at += len(bag)
    return found


def _cautions(volume: Volume, prepared: Volume, section: Input) -> tuple[str, ...]:
    """What could not be checked about a scan that the recipe takes, where no step has said it already."""
    wanted = section.modality
    found = []
    if wanted == "CT" and volume.units != "HU" and not any(w.startswith("not HU") for w in prepared.warnings):
        found.append("the scan holds no Hounsfield units: its own window was kept")
    if wanted == "CT" and volume.attributes.get("contrast") == "yes":
        found.append("the header names a contrast agent: that the model was made for scans with one was not checked")
    if wanted in ("CT", "MR") and not volume.modality:
        found.append(f"the file does not say its modality: that it is {wanted} was not checked")
    return tuple(found)


def _missing(views: Views, known: Sequence[float], recipe: Recipe) -> tuple[str, ...]:
    """What the recipe takes and the case does not have."""
    found = [f"no scan for '{role}': predicted without it" for role in recipe.inputs if role not in views]
    absent, at = [], 0
    for name, column in recipe.clinical.items():
        if np.isnan(known[at]):
            absent.append(name)
        at += column.width
    return (*found, *([f"not known of the patient: {', '.join(absent)}"] if absent else []))


def _listed(recipe: Recipe) -> str:
    return " or ".join(f"'{role}'" for role in recipe.inputs)


def _with_any(kept: tuple[str, ...], target: Target) -> tuple[str, ...]:
    """A set that holds a label holds `any` too, which follows from it; a larger set keeps what it promises."""
    if kept and target.any_of_the_others and target.positive not in kept:
        return tuple(c for c in target.classes if c in kept or c == target.positive)
    return kept
