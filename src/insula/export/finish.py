"""From a finished run to a bundle: graphs, parity, temperature, thresholds, conformal quantiles, baseline.

Everything after the graphs is measured on the validation split through the engine that will serve it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.patients import hash_patient, new_salt
from insula.bundle.save import save
from insula.bundle.types import Baseline, Bundle, DecisionFacts, Parts
from insula.core.provenance import record, sha256_file
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.export.onnx import head_graph, model_graph
from insula.export.parity import Parity, check
from insula.infer import conformal, domain
from insula.infer.engine import Engine
from insula.infer.predict import run_prepared
from insula.metrics import calibration, thresholds
from insula.metrics.aggregate import aggregate
from insula.metrics.probabilities import from_logits
from insula.prep.cache import Prepared
from insula.report.card import model_card
from insula.train.data import samples
from insula.train.fit import Run


@dataclass(frozen=True)
class Measured:
    """Single network inputs: logits (n, K), embeddings (n, E), labels (n, K), and whose they are."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    labels: NDArray[np.bool_]
    patients: tuple[str, ...]


def finish(run: Run, cohort: Cohort, target: Path) -> tuple[Bundle, Parity]:
    """Write the run's bundle to `target` and return it with the parity that was measured.

    Raises ExportError when the graph does not equal the network; nothing is written then.
    """
    recipe, prepared = run.recipe, run.prepared
    channels, *size = prepared.slices.shape[1:]
    model = model_graph(run.network, recipe.role, channels, (size[0], size[1]))
    head = head_graph(run.network)
    engine = Engine.of_graphs(model, head, recipe.role)
    seen = (*cohort.of_split("val"), *cohort.of_split("train"))
    parity = check(run.network, engine, samples(seen, prepared, recipe), prepared)
    val = measure(engine, cohort.of_split("val"), prepared, recipe)
    train = measure(engine, _even(cohort.of_split("train"), 400), prepared, recipe)
    decision, facts = decide_on(val, recipe)
    baseline = _baseline(cohort, recipe, prepared, train, val)
    run_facts: dict[str, Any] = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    training = {k: run_facts[k] for k in ("epochs", "best_val_loss", "start", "train_inputs", "val_inputs")}
    parts = Parts(
        recipe=recipe,
        model_onnx=model,
        head_onnx=head,
        weights=(run.folder / "weights.safetensors").read_bytes(),
        decision=decision,
        baseline=baseline,
        metrics={
            "validation": facts,
            "parity": {"cases": parity.cases, "logits": parity.logits, "maps": parity.maps},
            "training": training,
        },
        model_card=model_card(recipe, _card_data(cohort, baseline, training, facts)),
        provenance=record(weights_sha256=run.weights_sha256, seed=recipe.seed),
    )
    return save(target, parts), parity


def measure(engine: Engine, cases: Sequence[Case], prepared: Prepared, recipe: Recipe) -> Measured:
    """Run the engine over prepared, labelled cases, as a prediction does."""
    rows = [c for c in cases if c.key in prepared.places and recipe.target_name in c.labels]
    logits, labels, owners, embeddings = [], [], [], []
    for case in rows:
        out = run_prepared(engine, np.array(prepared.case(case.key)), recipe.input)
        present = [name in case.labels[recipe.target_name] for name in recipe.target.classes]
        logits.append(out.logits)
        embeddings.append(out.embedding)
        labels += [present] * len(out.logits)
        owners += [case.patient] * len(out.logits)
    return Measured(np.concatenate(logits), np.concatenate(embeddings), np.array(labels), tuple(owners))


def decide_on(val: Measured, recipe: Recipe) -> tuple[DecisionFacts, dict[str, Any]]:
    """Temperature from single inputs; thresholds and conformal quantiles from patients, as the policy will see them."""
    kind, target = recipe.target.kind, recipe.target
    temperature = calibration.fit_temperature(val.logits, val.labels, kind)
    probabilities = from_logits(val.logits, temperature, kind)
    p, y = [], []
    for patient in dict.fromkeys(val.patients):
        mine = np.array([q == patient for q in val.patients])
        # rounded as a Prediction's are, so that the patient who sets a threshold reaches it
        p.append(aggregate(probabilities[mine], recipe.policy.aggregate, kind).astype(np.float32))
        y.append(val.labels[mine].any(axis=0))
    patient_p, patient_y = np.stack(p), np.stack(y)
    chosen: dict[str, float] = {}
    for i, name in enumerate(target.classes):
        both = 0 < patient_y[:, i].sum() < len(patient_y)
        chosen[name] = (
            thresholds.choose(patient_y[:, i], patient_p[:, i], recipe.policy.operating_point) if both else 0.5
        )
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
    distances = np.sort([domain.distance(e, mean, precision) for e in val.embeddings])
    seen = (*cohort.of_split("train"), *cohort.of_split("val"))
    salt = new_salt()
    root = Path(cohort.root)
    files = {sha256_file(root / p) for c in seen for s in c.scans.values() for p in s.paths if (root / p).is_file()}
    labelled = [c.labels.get(recipe.target_name, ()) for c in cohort.of_split("train")]
    rows = prepared.rows(c.key for c in seen)
    sample = prepared.slices[rows[:: max(1, len(rows) // 256)]]
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


def _card_data(cohort: Cohort, baseline: Baseline, training: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "training patients": len({c.patient for c in cohort.of_split("train")}),
        "training inputs": training["train_inputs"],
        "training cases by class": dict(baseline.class_counts),
        "validation patients": facts["patients"],
        "split": f"by {cohort.split_level}" if cohort.patient_ids else f"by {cohort.split_level}, no patient ids",
        "start": training["start"],
        "epochs": training["epochs"],
    }


def _even(cases: Sequence[Case], count: int) -> list[Case]:
    if len(cases) <= count:
        return list(cases)
    return [cases[i] for i in np.linspace(0, len(cases) - 1, count).astype(int)]
