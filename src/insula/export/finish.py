"""From a finished run to a bundle: graphs, parity, temperature, thresholds, conformal quantiles, baseline.

Everything after the graphs is measured on the validation split through the engine that will serve it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.patients import hash_patient
from insula.bundle.save import save
from insula.bundle.types import Baseline, Bundle, DecisionFacts, Parts
from insula.core.provenance import record, sha256_file
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.onnx import head_graph, model_graph
from insula.export.parity import Parity, check
from insula.infer import conformal, domain
from insula.infer.engine import Engine
from insula.metrics import calibration, thresholds
from insula.metrics.aggregate import aggregate
from insula.metrics.probabilities import from_logits
from insula.prep.cache import Prepared
from insula.report.card import model_card
from insula.train.data import Sample, samples
from insula.train.fit import Run


@dataclass(frozen=True)
class Measured:
    """The engine's outputs on some inputs, with their labels and whose they are."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.bool_]
    patients: tuple[str, ...]


def finish(run: Run, cohort: Cohort, target: Path) -> tuple[Bundle, Parity]:
    """Write the run's bundle to `target` and return it with the parity that was measured.

    Raises ExportError when the graph does not equal the network; nothing is left behind then.
    """
    recipe, prepared = run.recipe, run.prepared
    channels, *size = prepared.slices.shape[1:]
    parts = Parts(
        recipe=recipe,
        model_onnx=model_graph(run.network, recipe.role, channels, (size[0], size[1])),
        head_onnx=head_graph(run.network),
        weights=(run.folder / "weights.safetensors").read_bytes(),
        decision=_undecided(recipe),
        baseline=_empty_baseline(cohort, run.network.head.in_features),
        metrics={},
        model_card="",
        provenance=record(),
    )
    working = target.with_name(f".{target.name}.unfinished")
    try:
        engine = Engine(save(working, parts))
        train_rows = samples(cohort.of_split("train"), prepared, recipe)
        val_cases = [c for c in cohort.of_split("val") if c.key in prepared.places]
        parity = check(run.network, engine, [*samples(val_cases, prepared, recipe), *train_rows], prepared)
        val = measure(engine, val_cases, prepared, recipe)
        train = measure(engine, cohort.of_split("train"), prepared, recipe, limit=400)
    finally:
        _remove(working)
    decision, facts = decide_on(val, recipe)
    run_facts: dict[str, Any] = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    metrics = {
        "validation": facts,
        "parity": {"cases": parity.cases, "logits": parity.logits, "maps": parity.maps},
        "training": {k: run_facts[k] for k in ("epochs", "best_val_loss", "start", "train_inputs", "val_inputs")},
    }
    parts = replace(
        parts,
        decision=decision,
        baseline=_baseline(cohort, recipe, prepared, train, val),
        metrics=metrics,
        model_card=model_card(recipe, metrics),
        provenance=record(weights_sha256=run.weights_sha256, seed=recipe.seed),
    )
    return save(target, parts), parity


def measure(
    engine: Engine, cases: Sequence[Case], prepared: Prepared, recipe: Recipe, limit: int | None = None
) -> Measured:
    """Run the engine over prepared cases, one network input at a time; `limit` takes an even choice of inputs."""
    pairs: list[tuple[str, Sample]] = []
    for case in cases:
        pairs += [(case.patient, row) for row in samples([case], prepared, recipe)]
    if limit and len(pairs) > limit:
        pairs = [pairs[i] for i in np.linspace(0, len(pairs) - 1, limit).astype(int)]
    logits, embeddings = [], []
    for _, row in pairs:
        x = np.array(prepared.slices[row.offset : row.offset + row.count])[None]
        out = engine.run(x, np.ones((1, row.count), np.float32))
        logits.append(out.logits[0])
        embeddings.append(out.embedding[0])
    labels = np.array([row.y for _, row in pairs]) > 0.5
    return Measured(np.stack(logits), np.stack(embeddings), labels, tuple(p for p, _ in pairs))


def decide_on(val: Measured, recipe: Recipe) -> tuple[DecisionFacts, dict[str, Any]]:
    """Temperature from single inputs; thresholds and conformal quantiles from patients, as the policy will see them."""
    kind, target = recipe.target.kind, recipe.target
    temperature = calibration.fit_temperature(val.logits, val.labels, kind)
    probabilities = from_logits(val.logits, temperature, kind)
    p, y = [], []
    for patient in dict.fromkeys(val.patients):
        mine = np.array([q == patient for q in val.patients])
        p.append(aggregate(probabilities[mine], recipe.policy.aggregate))
        y.append(val.labels[mine].any(axis=0))
    patient_p, patient_y = np.stack(p), np.stack(y)
    chosen: dict[str, float] = {}
    for i, name in enumerate(target.classes):
        both = 0 < patient_y[:, i].sum() < len(patient_y)
        chosen[name] = thresholds.choose(patient_y[:, i], patient_p[:, i], recipe.policy.operating_point) if both else 0.5
    quantiles = conformal.quantiles(patient_p, patient_y, kind, recipe.policy.conformal_level)
    facts = {
        "patients": len(patient_y),
        "positives": int(patient_y[:, target.positive_index].sum()),
        "inputs": len(val.labels),
        "temperature": temperature,
        "threshold": chosen[target.positive],
    }
    return DecisionFacts(thresholds=chosen, temperature=temperature, conformal=quantiles), facts


def _baseline(cohort: Cohort, recipe: Recipe, prepared: Prepared, train: Measured, val: Measured) -> Baseline:
    mean, precision = domain.baseline(train.embeddings)
    distances = np.sort([domain.distance(e, mean, precision) for e in val.embeddings]).astype(np.float32)
    seen = (*cohort.of_split("train"), *cohort.of_split("val"))
    salt = secrets.token_hex(16)
    root = Path(cohort.root)
    files = {sha256_file(root / p) for c in seen for s in c.scans.values() for p in s.paths if (root / p).is_file()}
    labelled = [c.labels.get(recipe.target_name, ()) for c in cohort.of_split("train")]
    sample = prepared.slices[:: max(1, len(prepared.slices) // 256)]
    return Baseline(
        patients=tuple(sorted({hash_patient(salt, c.patient) for c in seen})),
        files=tuple(sorted(files)),
        salt=salt,
        split_level=cohort.split_level,
        patient_ids=cohort.patient_ids,
        class_counts={name: sum(name in present for present in labelled) for name in recipe.target.classes},
        embedding_mean=mean,
        embedding_precision=precision,
        distances=distances,
        pixel_mean=float(sample.mean()),
        pixel_std=float(sample.std()),
    )


def _undecided(recipe: Recipe) -> DecisionFacts:
    classes = recipe.target.classes
    return DecisionFacts({c: 0.5 for c in classes}, 1.0, tuple(1.0 for _ in classes))


def _empty_baseline(cohort: Cohort, features: int) -> Baseline:
    zeros = np.zeros(features, np.float32)
    eye = np.eye(features, dtype=np.float32)
    return Baseline((), (), "", cohort.split_level, cohort.patient_ids, {}, zeros, eye, np.zeros(1, np.float32), 0.0, 1.0)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
