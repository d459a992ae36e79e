"""A bundle whose network runs in 8-bit integers, with what that costs; refused where it may cost too much.

Everything after the graph is measured anew on the validation cases through the engine that will serve it, as for any
bundle: temperature, thresholds, conformal quantiles, what is known of the training scans.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.load import read_verified
from insula.bundle.save import save
from insula.bundle.types import Bundle, DecisionFacts
from insula.core.errors import ExportError
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export import quantise
from insula.export.finish import Measured, assemble, decide_on, even, measure
from insula.export.further import by_owner
from insula.export.parity import Parity
from insula.infer import calibrated
from insula.infer.engine import Engine
from insula.infer.feed import Feed, of_case
from insula.metrics import compare, proportion
from insula.metrics.aggregate import aggregate
from insula.metrics.compare import Comparison
from insula.metrics.intervals import Figure
from insula.prep.cache import Prepared

CALIBRATE, MAX_LOSS = 100, 0.01
_TIMED = 30
_PROBES = 8  # cases by which layers are compared
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cost:
    """What 8-bit integers cost on the validation patients, and gain on this machine.

    size, size_before: bytes of the model's graph. ms, ms_before: of one validation case, medians of alternate runs.
    auc: after and before, with the difference and its paired interval. agreement: share of patients with the same
    answer, each by its own threshold. kept: convolutions left in single precision. seven_bit: weights of 7 bits, for
    CPUs without VNNI.
    """

    size: int
    size_before: int
    ms: float
    ms_before: float
    auc: Comparison
    agreement: Figure
    kept: tuple[str, ...]
    convolutions: int
    seven_bit: bool
    calibrated_on: int
    threads: int

    @property
    def worst(self) -> float:
        """The ROC-AUC that may be lost: the interval's lower end, or the loss itself where there is none."""
        gap = self.auc.difference
        return -(gap.value if gap.interval is None else gap.interval[0])

    def plain(self) -> dict[str, Any]:
        """As the bundle's metrics tell it."""
        gap, agreed = self.auc.difference, self.agreement
        return {
            "method": "int8",
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
            "kept": list(self.kept),
            "convolutions": self.convolutions,
            "seven_bit": self.seven_bit,
            "calibrated_on": self.calibrated_on,
        }


@dataclass(frozen=True, eq=False)
class _Base:
    """What the candidates are held against."""

    bundle: Bundle
    model: bytes
    head: bytes
    engine: Engine
    val: Measured
    feeds: tuple[Feed, ...]
    probe: Feed
    threads: int


def to_int8(
    bundle: Bundle,
    cohort: Cohort,
    prepared: Mapping[str, Prepared],
    target: Path,
    *,
    calibrate: int = CALIBRATE,
    max_loss: float = MAX_LOSS,
    threads: int = 1,
    reduce_range: bool | None = None,
    say: Say = lambda text: None,
) -> tuple[Bundle, Cost]:
    """Write the bundle in 8-bit integers to `target`, calibrated on training cases, decided on validation cases.

    Where all convolutions in integers may lose more than `max_loss` of ROC-AUC (the lower end of the paired interval on
    the validation patients), those that disturb the answer most stay in single precision, 1, 2, 4, … of them. Raises
    ExportError where half of them would have to, and for a cohort that is not the one the bundle was trained on.
    """
    base = _start(bundle, cohort, prepared, calibrate, threads)
    say(f"{len(quantise.convolutions(base.model))} convolutions, ranges from {len(base.feeds)} training cases.")
    seven = not quantise.has_vnni() if reduce_range is None else reduce_range
    kept: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    while True:
        graph = quantise.quantised(base.model, base.feeds, kept, seven)
        engine = Engine.of_graphs(graph, base.head, bundle.recipe, threads)
        val = measure(engine, cohort.of_split("val"), prepared, bundle.recipe)
        train = measure(engine, even(cohort.of_split("train"), 400), prepared, bundle.recipe)
        decided = decide_on(val, train, bundle.recipe)
        cost = _cost(base, engine, len(graph), val, decided[0], kept, seven)
        say(_said(cost))
        if cost.worst <= max_loss:
            break
        order = order or _order(base, seven, say)
        more = max(1, 2 * len(kept))
        if more > len(order) // 2:
            raise ExportError(
                f"8-bit integers may lose {cost.worst:.4f} of ROC-AUC on the validation patients even with {len(kept)} "
                f"of {len(order)} convolutions in single precision, and {max_loss:g} is the most; keep the bundle as "
                "it is, give more validation patients, or allow more by --max-loss."
            )
        kept = order[:more]
    parity = Parity(**bundle.metrics["parity"])
    training = dict(bundle.metrics["training"])
    weights = read_verified(bundle, "weights.safetensors")
    parts = assemble(
        cohort, bundle.recipe, prepared, (graph, base.head), weights, decided, (train, val), parity, training
    )
    card = f"{parts.model_card.rstrip()}\n\n## In 8-bit integers\n\n{_said(cost)} Made from bundle {bundle.id}.\n"
    told = {"optimised": cost.plain()}
    made = replace(
        parts,
        metrics={**parts.metrics, **told},
        provenance={**parts.provenance, "optimised_from": bundle.id},
        model_card=card,
    )
    return save(target, made), cost


def _start(bundle: Bundle, cohort: Cohort, prepared: Mapping[str, Prepared], calibrate: int, threads: int) -> _Base:
    if "optimised" in bundle.metrics:
        raise ExportError(f"Bundle {bundle.id} is optimised already; give the one that it was made from.")
    recipe = bundle.recipe
    model = quantise.prepared(read_verified(bundle, "model.onnx"))
    head = read_verified(bundle, "head.onnx")
    engine = Engine.of_graphs(model, head, recipe, threads)
    val = measure(engine, cohort.of_split("val"), prepared, recipe)
    feeds = [
        feed
        for case in even(cohort.of_split("train"), calibrate)
        if (feed := _feed(case, engine, prepared, recipe)) is not None
    ]
    probe = next((f for case in cohort.of_split("val") if (f := _feed(case, engine, prepared, recipe))), None)
    if not feeds or probe is None:
        raise ExportError(
            "The cohort has no prepared case to train or to validate on; give the split cohort that the bundle was "
            "trained on."
        )
    return _Base(bundle, model, head, engine, val, tuple(feeds), probe, threads)


def _feed(case: Case, engine: Engine, prepared: Mapping[str, Prepared], recipe: Recipe) -> Feed | None:
    views = {role: bags for role in recipe.inputs if (bags := prepared[role].arrays(case))}
    if not views:
        return None
    return of_case(views, clinical(case.attributes, recipe.clinical), engine.input_shapes, recipe)


def _cost(
    base: _Base,
    engine: Engine,
    size: int,
    val: Measured,
    decision: DecisionFacts,
    kept: tuple[str, ...],
    seven: bool,
) -> Cost:
    recipe = base.bundle.recipe
    positive = recipe.target.positive_index
    after, y, owners = _patients(val, decision, recipe)
    before, _, _ = _patients(base.val, base.bundle.decision, recipe)
    name = recipe.target.positive
    same = (after[:, positive] >= decision.thresholds[name]) == (
        before[:, positive] >= base.bundle.decision.thresholds[name]
    )
    ms, ms_before = _timed(engine, base)
    return Cost(
        size,
        len(base.model),
        ms,
        ms_before,
        compare.delong(y[:, positive], after[:, positive], before[:, positive]),
        proportion.figure(same, np.ones(len(same), bool), owners, "no patient"),
        kept,
        len(quantise.convolutions(base.model)),
        seven,
        len(base.feeds),
        base.threads,
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


def _timed(engine: Engine, base: _Base) -> tuple[float, float]:
    """Milliseconds of one case, after and before: medians of runs in turn."""
    found: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(_TIMED):
        for k, one in enumerate((engine, base.engine)):
            begun = time.perf_counter()
            one.run(base.probe)
            found[k].append(1000 * (time.perf_counter() - begun))
    return statistics.median(found[0]), statistics.median(found[1])


def _order(base: _Base, seven: bool, say: Say) -> tuple[str, ...]:
    """The convolutions by how far each alone moves the answer when it is in integers, the worst first."""
    names = quantise.convolutions(base.model)
    say(f"Looking for the convolutions, of {len(names)}, that disturb the answer most.")
    probes = base.feeds[:_PROBES]
    right = [base.engine.run(feed).logits for feed in probes]
    moved: dict[str, float] = {}
    for name in names:
        graph = quantise.quantised(base.model, probes, [other for other in names if other != name], seven)
        engine = Engine.of_graphs(graph, base.head, base.bundle.recipe, base.threads)
        apart = [engine.run(feed).logits - logits for feed, logits in zip(probes, right, strict=True)]
        moved[name] = float(np.sqrt(np.mean([np.mean(gap**2) for gap in apart])))
    return tuple(sorted(names, key=lambda name: -moved[name]))


def _said(cost: Cost) -> str:
    gap = cost.auc.difference
    ends = "" if gap.interval is None else f" ({gap.interval[0]:+.4f} to {gap.interval[1]:+.4f})"
    return (
        f"{cost.convolutions - len(cost.kept)} of {cost.convolutions} convolutions in integers: "
        f"{cost.size / 1e6:.1f} MB instead of {cost.size_before / 1e6:.1f}, {cost.ms:.1f} ms a case instead of "
        f"{cost.ms_before:.1f} ({cost.threads} thread{'s' if cost.threads > 1 else ''}), ROC-AUC {cost.auc.first:.4f} "
        f"instead of {cost.auc.second:.4f}, difference {gap.value:+.4f}{ends}, the same answer for "
        f"{100 * cost.agreement.value:.1f}% of {cost.agreement.patients} validation patients."
    )
