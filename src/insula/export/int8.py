"""A bundle whose network runs in 8-bit integers, with what that costs; refused where it may cost too much.

Everything after the graph is measured anew on the validation cases through the engine that will serve it, as for any
bundle: temperature, thresholds, conformal quantiles, what is known of the training scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from insula.bundle.load import read_verified
from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core.errors import ExportError
from insula.core.types import Cohort
from insula.export import cost as costs
from insula.export import quantise
from insula.export.cost import MAX_LOSS, Cost, Original
from insula.export.finish import assemble, decide_on, even, measure
from insula.export.goal import check_goal
from insula.export.parity import Parity
from insula.infer.engine import Engine
from insula.infer.feed import Feed
from insula.prep.cache import Prepared

METHOD = "int8"
CALIBRATE = 100
_PROBES = 8  # cases by which layers are compared
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class _Base:
    """What the candidates are held against, and the feeds of the training cases that show the ranges."""

    of: Original
    feeds: tuple[Feed, ...]


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
    ExportError where half of them would have to, and for a cohort that is not the one the bundle was trained on, and
    UsageError where something is at `target`.
    """
    check_goal(target, bundle.path)
    base = _start(bundle, cohort, prepared, calibrate, threads)
    say(f"{len(quantise.convolutions(base.of.model))} convolutions, ranges from {len(base.feeds)} training cases.")
    seven = not quantise.has_vnni() if reduce_range is None else reduce_range
    kept: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    while True:
        graph = quantise.quantised(base.of.model, base.feeds, kept, seven)
        engine = Engine.of_graphs(graph, base.of.head, bundle.recipe, threads)
        val = measure(engine, cohort.of_split("val"), prepared, bundle.recipe)
        train = measure(engine, even(cohort.of_split("train"), 400), prepared, bundle.recipe)
        decided = decide_on(val, train, bundle.recipe)
        facts = _facts(base, kept, seven)
        cost = costs.cost(base.of, METHOD, engine, len(graph), val, decided[0], facts)
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
        cohort, bundle.recipe, prepared, (graph, base.of.head), weights, decided, (train, val), parity, training
    )
    made = costs.marked(parts, cost, bundle, "In 8-bit integers", _said(cost))
    return save(target, made), cost


def _start(bundle: Bundle, cohort: Cohort, prepared: Mapping[str, Prepared], calibrate: int, threads: int) -> _Base:
    if bundle.metrics.get("optimised", {}).get("method") == METHOD:
        raise ExportError(f"Bundle {bundle.id} is in integers already; give the one that it was made from.")
    model = quantise.prepared(read_verified(bundle, "model.onnx"))
    of = costs.original(bundle, cohort, prepared, threads, model)
    chosen = even(cohort.of_split("train"), calibrate)
    given = (costs.feed_of(case, of.engine, prepared, bundle.recipe) for case in chosen)
    feeds = tuple(feed for feed in given if feed is not None)
    if not feeds:
        raise ExportError(
            "The cohort has no prepared case to train on; give the split cohort that the bundle was trained on."
        )
    return _Base(of, feeds)


def _facts(base: _Base, kept: tuple[str, ...], seven: bool) -> dict[str, object]:
    return {
        "kept": list(kept),
        "convolutions": len(quantise.convolutions(base.of.model)),
        "seven_bit": seven,
        "calibrated_on": len(base.feeds),
    }


def _order(base: _Base, seven: bool, say: Say) -> tuple[str, ...]:
    """The convolutions by how far each alone moves the answer when it is in integers, the worst first."""
    names = quantise.convolutions(base.of.model)
    say(f"Looking for the convolutions, of {len(names)}, that disturb the answer most.")
    probes = base.feeds[:_PROBES]
    right = [base.of.engine.run(feed).logits for feed in probes]
    moved: dict[str, float] = {}
    for name in names:
        graph = quantise.quantised(base.of.model, probes, [other for other in names if other != name], seven)
        engine = Engine.of_graphs(graph, base.of.head, base.of.bundle.recipe, base.of.threads)
        apart = [engine.run(feed).logits - logits for feed, logits in zip(probes, right, strict=True)]
        moved[name] = float(np.sqrt(np.mean([np.mean(gap**2) for gap in apart])))
    return tuple(sorted(names, key=lambda name: -moved[name]))


def _said(cost: Cost) -> str:
    whole = int(cost.facts["convolutions"])
    return f"{whole - len(cost.facts['kept'])} of {whole} convolutions in integers: {cost.line}"
