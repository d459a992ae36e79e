"""The one way from a scan to a prediction: evaluation, audit, command line and service all go through here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from insula.bundle.types import Bundle
from insula.core.errors import LimitError, UnsuitableScanError
from insula.core.recipe import Input, Target
from insula.core.types import Case, FloatArray, Heatmap, Prediction, Volume
from insula.infer import conformal, domain, sampling
from insula.infer.engine import Engine, Outputs
from insula.metrics.aggregate import aggregate
from insula.metrics.probabilities import from_logits
from insula.prep.run import prepared_volume, slices
from insula.scans import read as scans
from insula.scans.limits import LIMITS, Limits

MOST_SLICES = 1024


class Reader(Protocol):
    """Whatever reads the files of one scan as `scans.read.read_files` does."""

    def __call__(self, paths: Sequence[Path], allowed: Limits = LIMITS, tiles: scans.Cut = None) -> Volume:
        """The scan in these files."""
        ...


class Predictor:
    """A bundle with its engine, ready for scans; safe to call from several threads.

    reader: how the files of a case are read; in this process by default, in others by `Sandbox.read_files`.
    passes: dropout passes behind `Prediction.spread`; 0 leaves the spread out.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, reader: Reader = scans.read_files) -> None:
        self.bundle = bundle
        self.reader = reader
        self.engine = Engine(bundle, threads)

    def path(self, path: Path, passes: int = 0) -> Prediction:
        """Predict the scan in a file or folder; the prediction's case is the path's last name."""
        return self.volume(scans.read(path, tiles=self.bundle.recipe.input.tiles), path.name, passes)

    def case(self, case: Case, root: Path, passes: int = 0) -> Prediction:
        """Predict a case of a cohort whose files lie under root."""
        return self.volume(self._read(case, root), case.key, passes)

    def volume(self, volume: Volume, key: str, passes: int = 0) -> Prediction:
        """Predict a scan in memory. Raises UnsuitableScanError when the recipe does not take it."""
        prepared, warnings = self.prepare(volume)
        return self.from_slices(prepared, key, passes, warnings)

    def prepare(self, volume: Volume) -> tuple[FloatArray, tuple[str, ...]]:
        """The scan as the network gets it (S, C, H, W), and what has to be said of it.

        The warnings are those of the file, those of the preparation steps, and what could not be checked.
        """
        prepared = prepared_volume(volume, self.bundle.recipe.input)
        return slices(prepared), (*prepared.warnings, *self._cautions(volume, prepared))

    def prepared(self, case: Case, root: Path) -> FloatArray:
        """A case's scan as the network gets it: (S, C, H, W)."""
        return self.prepare(self._read(case, root))[0]

    def from_slices(
        self, prepared: FloatArray, key: str, passes: int = 0, warnings: tuple[str, ...] = ()
    ) -> Prediction:
        """Predict from slices that `prep.run.prepare` gave, e.g. out of the prepared cache."""
        facts, recipe = self.bundle.decision, self.bundle.recipe
        outputs = run_prepared(self.engine, prepared, recipe.input)
        per_input = from_logits(outputs.logits, facts.temperature, recipe.target.kind)
        probabilities = aggregate(per_input, recipe.policy.aggregate, recipe.target.kind).astype(np.float32)
        spread = None
        if passes and recipe.model.dropout == 0.0:
            warnings = (*warnings, "no spread: the model has no dropout")
        elif passes:
            spread = self._pooled_samples(outputs, passes).std(axis=0).astype(np.float32)
        embedding = case_embedding(outputs)
        base = self.bundle.baseline
        far = domain.median_distance(outputs.embedding, base.embedding_mean, base.embedding_precision)
        return Prediction(
            case=key,
            bundle_id=self.bundle.id,
            target=recipe.target_name,
            classes=recipe.target.classes,
            probabilities=probabilities,
            spread=spread,
            prediction_set=_with_any(
                conformal.prediction_set(probabilities, facts.conformal, recipe.target.classes, recipe.target.kind),
                recipe.target,
            ),
            domain_score=domain.score(far, base.distances),
            embedding=embedding,
            heatmaps={recipe.role: heatmap(outputs, recipe.input)},
            warnings=warnings,
        )

    def samples(self, prepared: FloatArray, passes: int) -> NDArray[np.float64]:
        """Probabilities (passes, K) of the case under dropout, pooled over inputs; see `sampling.summary`."""
        return self._pooled_samples(run_prepared(self.engine, prepared, self.bundle.recipe.input), passes)

    def _cautions(self, volume: Volume, prepared: Volume) -> tuple[str, ...]:
        """What could not be checked about a scan that the recipe takes, where no step has said it already."""
        wanted = self.bundle.recipe.input.modality
        found = []
        if wanted == "CT" and volume.units != "HU" and not any(w.startswith("not HU") for w in prepared.warnings):
            found.append("the scan holds no Hounsfield units: its own window was kept")
        if wanted in ("CT", "MR") and not volume.modality:
            found.append(f"the file does not say its modality: that it is {wanted} was not checked")
        return tuple(found)

    def _read(self, case: Case, root: Path) -> Volume:
        role = self.bundle.recipe.role
        scan = case.scans.get(role)
        if scan is None:
            raise UnsuitableScanError(
                f"The case has scans for {sorted(case.scans)}, and the recipe takes '{role}'; "
                "index the cohort with this recipe."
            )
        return self.reader([root / p for p in scan.paths], tiles=self.bundle.recipe.input.tiles)

    def _pooled_samples(self, outputs: Outputs, passes: int) -> NDArray[np.float64]:
        recipe = self.bundle.recipe
        logits = sampling.sample(self.engine, outputs.embedding, passes, recipe.model.dropout, recipe.seed)
        p = from_logits(logits, self.bundle.decision.temperature, recipe.target.kind)
        return np.stack([aggregate(rows, recipe.policy.aggregate, recipe.target.kind) for rows in p])


def run_prepared(engine: Engine, prepared: FloatArray, section: Input) -> Outputs:
    """Run the network on one case's slices (S, C, H, W): as one input, or each slice as its own (unit `image`).

    Raises LimitError for a series of more than `MOST_SLICES` slices, since all of them are in memory at once.
    """
    if section.unit == "image":
        return engine.run(prepared[:, None], np.ones((len(prepared), 1), np.float32))
    if len(prepared) > MOST_SLICES:
        raise LimitError(
            f"The series has {len(prepared)} slices and one prediction takes at most {MOST_SLICES}; "
            "add a 'pick_slices' step to the recipe, or give thicker slices."
        )
    return engine.run(prepared[None], np.ones((1, len(prepared)), np.float32))


def _with_any(kept: tuple[str, ...], target: Target) -> tuple[str, ...]:
    """A set that holds a label holds `any` too, which follows from it; a larger set keeps what it promises."""
    if kept and target.any_of_the_others and target.positive not in kept:
        return tuple(c for c in target.classes if c in kept or c == target.positive)
    return kept


def case_embedding(outputs: Outputs) -> FloatArray:
    """One embedding (E,) of one case: the mean over its inputs."""
    mean: FloatArray = outputs.embedding.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def heatmap(outputs: Outputs, section: Input) -> Heatmap:
    """The class maps of one case, one for each slice."""
    if section.unit == "image":
        array = outputs.maps[:, :, 0].transpose(1, 0, 2, 3)
        weights = np.full(array.shape[1], 1.0 / array.shape[1], np.float32)
    else:
        array, weights = outputs.maps[0], outputs.slice_weights[0]
    return Heatmap(np.ascontiguousarray(array), tuple(range(array.shape[1])), weights)
