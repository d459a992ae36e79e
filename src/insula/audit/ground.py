"""What every part of an audit stands on: a bundle, the cases that it was evaluated on, and its answers to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.audit.sight import Sight
from insula.bundle.types import Bundle
from insula.core.errors import UnsuitableScanError
from insula.core.recipe_audit import Audit
from insula.core.types import Case, Cohort, Heatmap, Prediction, Volume
from insula.evaluate.facts import Facts, answers
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.table import Sample, by_patient, sample
from insula.infer.explainer import Asked
from insula.infer.predict import Predictor, Scans

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_KEPT = 4  # scans; each takes a few times its own memory


@dataclass(frozen=True, eq=False)
class Ground:
    """One audit. cases: those that the evaluation has answers for, in the order of its table.

    seed: of all that is drawn at random, by `rng`. replicates: of the bootstrap. given: case → probability of the
    positive class in a table made elsewhere. drawn: the maps of networks whose weights were drawn anew, by their names
    and by scan; None where PyTorch is not at hand.
    """

    bundle: Bundle
    predictor: Predictor
    cohort: Cohort
    cases: tuple[Case, ...]
    report: EvaluationReport
    seed: int = 0
    replicates: int = 2000
    given: Mapping[str, float] | None = None
    drawn: Callable[[Asked], Mapping[str, Mapping[str, Heatmap]]] | None = None

    @property
    def limits(self) -> Audit:
        """The recipe's limits."""
        return self.bundle.recipe.audit

    @property
    def facts(self) -> Facts:
        """The question and its classes."""
        return self.report.facts

    @property
    def root(self) -> Path:
        """Where the files of the cases lie."""
        return Path(self.cohort.root)

    @cached_property
    def rows(self) -> Sample:
        """The undisturbed answers, one row a case."""
        return sample(self.report.table, self.facts)

    @cached_property
    def patients(self) -> Sample:
        """The undisturbed answers, one row a patient."""
        return by_patient(self.rows, self.facts)[0]

    def rng(self, *key: int | str) -> np.random.Generator:
        """Random numbers of their own for each key, the same in every run of one seed."""
        numbers = [int.from_bytes(sha256(k.encode()).digest()[:8], "big") if isinstance(k, str) else k for k in key]
        return np.random.default_rng((self.seed, 97, *numbers))

    def some(self, most: int, *key: int | str) -> frozenset[str]:
        """All patients, or so many drawn at random, half of them positive where there are enough of both."""
        rows = self.patients
        if len(rows.keys) <= most:
            return frozenset(str(one) for one in rows.keys)
        y = self.positive(rows)
        positives, negatives = rows.keys[y], rows.keys[~y]
        count = min(len(positives), max(most // 2, most - len(negatives)))
        rng = self.rng(*key)
        kept = [rng.permutation(positives)[:count], rng.permutation(negatives)[: most - count]]
        return frozenset(str(one) for one in np.concatenate(kept))

    def sight(self, volume: Volume) -> Sight:
        """A scan made ready to be looked at; what was made of the last few is kept, since several checks ask for it."""
        for made in self._sights:
            if made.volume is volume:
                return made
        self._sights.append(Sight(volume))
        return self._sights[-1]

    @cached_property
    def _sights(self) -> deque[Sight]:
        return deque(maxlen=_KEPT)

    def predict(self, case: Case, scans: Scans) -> Prediction | None:
        """What the bundle says of a case whose scans were changed; None where it refuses them."""
        try:
            return self.predictor.scans(scans, case.key, attributes=case.attributes)
        except UnsuitableScanError:
            return None

    def columns(self, case: Case, scans: Scans, name: str) -> dict[str, float]:
        """The answer to changed scans as the measured columns `NAME/CLASS`; NaN where they are refused."""
        found = self.predict(case, scans)
        p = np.full(len(self.facts.classes), np.nan) if found is None else found.probabilities
        return {f"{name}/{label}": float(v) for label, v in zip(self.facts.classes, p, strict=True)}

    def changed(self, table: pd.DataFrame, name: str) -> tuple[Sample, Sample]:
        """Answers before and after a change, one row a patient: of the cases that were answered after it."""
        p = table[[f"{name}/{label}" for label in self.facts.classes]].to_numpy(dtype=np.float64)
        kept = np.isfinite(p).all(axis=1)
        whole = self.rows
        before = Sample(whole.keys[kept], whole.patients[kept], whole.y[kept], whole.p[kept], whole.limits[kept])
        if not kept.any():
            return before, before
        after = replace(before, p=p[kept])
        return by_patient(before, self.facts)[0], by_patient(after, self.facts)[0]

    def called(self, rows: Sample) -> Bools:
        """Whether the positive class is called present in each row, (n,)."""
        return answers(rows.p, self.facts, rows.limits)[:, self.facts.positive_index]

    def positive(self, rows: Sample) -> Bools:
        """Whether each row is positive, (n,)."""
        return rows.y[:, self.facts.positive_index]

    def scores(self, rows: Sample) -> Floats:
        """The probability of the positive class in each row, (n,)."""
        return rows.p[:, self.facts.positive_index]
