"""What a smaller or faster network costs on the validation patients and gains on this machine, against its original."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.load import read_verified
from insula.bundle.types import Bundle, DecisionFacts, Parts
from insula.core.errors import ExportError
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.finish import Measured, measure
from insula.export.further import by_owner
from insula.infer import calibrated, pace
from insula.infer.engine import Engine
from insula.infer.feed import Feed, of_case
from insula.metrics import compare, proportion
from insula.metrics.aggregate import aggregate
from insula.metrics.compare import Comparison
from insula.metrics.intervals import Figure
from insula.prep.cache import Prepared

MAX_LOSS = 0.01


@dataclass(frozen=True)
class Cost:
    """What a way to make a network smaller costs and gains.

    method: "int8", "channels", "weights" or "distil". size, size_before: bytes of the model's graph. ms, ms_before: of
    one validation case, medians of alternate runs. auc: after and before, with the difference and its paired interval.
    agreement: share of patients with the same answer, each by its own threshold. facts: what the method has to say of
    itself.
    """

    method: str
    size: int
    size_before: int
    ms: float
    ms_before: float
    threads: int
    auc: Comparison
    agreement: Figure
    facts: Mapping[str, Any]

    @property
    def worst(self) -> float:
        """The ROC-AUC that may be lost: the interval's lower end, or the loss itself where there is none."""
        gap = self.auc.difference
        return -(gap.value if gap.interval is None else gap.interval[0])

    def plain(self) -> dict[str, Any]:
        """As the bundle's metrics tell it."""
        gap, agreed = self.auc.difference, self.agreement
        return {
            "method": self.method,
            "bytes": self.size,
            "bytes_before": self.size_before,
            "ms": round(self.ms, 3),
            "ms_before": round(self.ms_before, 3),
            "threads": self.threads,
            "machine": platform.machine(),
            "roc_auc": round(self.auc.first, 6),
            "roc_auc_before": round(self.auc.second, 6),
            "difference": round(gap.value, 6),
            "interval": None if gap.interval is None else [round(end, 6) for end in gap.interval],
            "agreement": round(agreed.value, 6),
            "agreement_interval": None if agreed.interval is None else [round(end, 6) for end in agreed.interval],
            "patients": agreed.patients,
            **self.facts,
        }

    @property
    def line(self) -> str:
        """One sentence for the log and the model card."""
        gap = self.auc.difference
        ends = "" if gap.interval is None else f" ({gap.interval[0]:+.4f} to {gap.interval[1]:+.4f})"
        return (
            f"{self.size / 1e6:.2f} MB instead of {self.size_before / 1e6:.2f}, {self.ms:.2f} ms a case instead of "
            f"{self.ms_before:.2f} ({self.threads} thread{'s' if self.threads > 1 else ''}), ROC-AUC "
            f"{self.auc.first:.4f} instead of {self.auc.second:.4f}, difference {gap.value:+.4f}{ends}, the same "
            f"answer for {100 * self.agreement.value:.1f}% of {self.agreement.patients} validation patients."
        )


@dataclass(frozen=True, eq=False)
class Original:
    """The bundle that candidates are held against. model, head: its graphs. val: measured. probe: the case timed."""

    bundle: Bundle
    model: bytes
    head: bytes
    engine: Engine
    val: Measured
    probe: Feed
    threads: int


def original(
    bundle: Bundle, cohort: Cohort, prepared: Mapping[str, Prepared], threads: int, model: bytes | None = None
) -> Original:
    """Measure a bundle on the cohort's validation cases; model: its graph where another form of it is to be held.

    Raises ExportError for a cohort without prepared validation cases.
    """
    model = read_verified(bundle, "model.onnx") if model is None else model
    head = read_verified(bundle, "head.onnx")
    engine = Engine.of_graphs(model, head, bundle.recipe, threads)
    val = measure(engine, cohort.of_split("val"), prepared, bundle.recipe)
    feeds = (feed_of(case, engine, prepared, bundle.recipe) for case in cohort.of_split("val"))
    probe = next((feed for feed in feeds if feed is not None), None)
    if probe is None:
        raise ExportError("The cohort has no prepared case to validate on; give the split cohort of the bundle.")
    return Original(bundle, model, head, engine, val, probe, threads)


def feed_of(case: Case, engine: Engine, prepared: Mapping[str, Prepared], recipe: Recipe) -> Feed | None:
    """What the engine is given of a prepared case; None where nothing of it is prepared."""
    views = {role: bags for role in recipe.inputs if (bags := prepared[role].arrays(case))}
    if not views:
        return None
    return of_case(views, clinical(case.attributes, recipe.clinical), engine.input_shapes, recipe)


def cost(
    base: Original,
    method: str,
    engine: Engine,
    size: int,
    val: Measured,
    decision: DecisionFacts,
    facts: Mapping[str, Any],
) -> Cost:
    """Hold a network of `size` bytes against the original; val: measured with its engine on the same cases."""
    recipe = base.bundle.recipe
    positive, name = recipe.target.positive_index, recipe.target.positive
    after, y, owners = _patients(val, decision, recipe)
    before, _, _ = _patients(base.val, base.bundle.decision, recipe)
    same = (after[:, positive] >= decision.thresholds[name]) == (
        before[:, positive] >= base.bundle.decision.thresholds[name]
    )
    ms, ms_before = (pace.quartiles(times)[1] for times in pace.in_turn((engine, base.engine), [[base.probe]] * 2))
    return Cost(
        method,
        size,
        len(base.model),
        ms,
        ms_before,
        base.threads,
        compare.delong(y[:, positive], after[:, positive], before[:, positive]),
        proportion.figure(same, np.ones(len(same), bool), owners, "no patient"),
        facts,
    )


def marked(parts: Parts, found: Cost, made_from: Bundle, title: str, said: str) -> Parts:
    """The parts of a bundle that also tell what it was made from and what that costs."""
    told = found.plain()
    if "optimised" in made_from.metrics:
        told["made_from"] = made_from.metrics["optimised"]
    card = f"{parts.model_card.rstrip()}\n\n## {title}\n\n{said} Made from bundle {made_from.id}.\n"
    return replace(
        parts,
        metrics={**parts.metrics, "optimised": told},
        provenance={**parts.provenance, "optimised_from": made_from.id},
        model_card=card,
    )


def _patients(
    measured: Measured, decision: DecisionFacts, recipe: Recipe
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]:
    """Probabilities (n, K), labels (n, K) and keys of the patients, as predictions will have them."""
    kind = recipe.target.kind
    logits, truth, owners = measured.of_target(recipe, recipe.target_name)
    rows, y = by_owner(calibrated.probabilities(logits, decision, kind), truth > 0.5, owners)
    how = recipe.policy.aggregate
    p = np.stack([aggregate(mine, how, kind, decision.power).astype(np.float32) for mine in rows])
    return p.astype(np.float64), y, np.array([str(i) for i in range(len(p))])
