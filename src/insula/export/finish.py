"""From a finished run to a bundle: graphs, parity, temperature, thresholds, conformal quantiles, baseline.

Everything after the graphs is measured on the validation split through the engine that will serve it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.bundle.patients import hash_patient, new_salt
from insula.bundle.save import save
from insula.bundle.types import Baseline, Bundle, DecisionFacts, FurtherFacts, Parts
from insula.core.errors import ExportError
from insula.core.labels import classes, clinical, columns
from insula.core.provenance import record, sha256_bytes, sha256_file
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort
from insula.evaluate import known, near
from insula.export.further import by_owner
from insula.export.further import facts as further_facts
from insula.export.onnx import head_graph, model_graph
from insula.export.parity import Parity, check
from insula.infer import calibrated, conformal, domain, domain_fit, referral, suitable_statistics
from insula.infer.engine import Engine
from insula.infer.feed import of_case
from insula.metrics import calibration, recalibrate, thresholds
from insula.metrics.aggregate import aggregate, fit_power
from insula.metrics.probabilities import from_logits
from insula.model.ensemble import Ensemble
from insula.model.network import Network, Shape
from insula.prep.cache import Prepared
from insula.report.card import model_card
from insula.train.run import Run

_TRAINING = ("epochs", "best_val_loss", "start", "train_inputs", "val_inputs", "shuffled_labels")


@dataclass(frozen=True)
class Measured:
    """Single network inputs: logits (n, K) of all targets, embeddings (n, E), and whose they are (patient and case)."""

    logits: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    patients: tuple[str, ...]
    cases: tuple[Case, ...]

    def of_target(self, recipe: Recipe, name: str) -> tuple[NDArray[np.float32], NDArray[np.float64], tuple[str, ...]]:
        """Columns, label columns and patients of the inputs that are labelled for a target."""
        target = recipe.targets[name]
        given = [columns(case, name, target) for case in self.cases]
        there = [i for i, label in enumerate(given) if label is not None]
        if not there:
            raise ExportError(f"Not one validation case is labelled for '{name}'; label some, or remove the target.")
        labels = np.array([given[i] for i in there], np.float64)
        return self.logits[there][:, recipe.columns(name)], labels, tuple(self.patients[i] for i in there)


def finish(run: Run, cohort: Cohort, target: Path) -> tuple[Bundle, Parity]:
    """Write the run's bundle to `target` and return it with the parity that was measured.

    Raises ExportError when the graph does not equal the network; nothing is written then.
    """
    recipe, prepared = run.recipe, run.prepared
    engine, graphs = start(run.network, run.shapes, recipe)
    seen = (*cohort.of_split("val"), *cohort.of_split("train"))
    parity = check(run.network, engine, seen, prepared, recipe)
    val = measure(engine, cohort.of_split("val"), prepared, recipe)
    train = measure(engine, even(cohort.of_split("train"), 400), prepared, recipe)
    decision, facts = decide_on(val, train, recipe)
    training = facts_of(run.folder)
    weights = (run.folder / "weights.safetensors").read_bytes()
    parts = assemble(cohort, recipe, prepared, graphs, weights, (decision, facts), (train, val), parity, training)
    return save(target, parts), parity


def facts_of(folder: Path) -> dict[str, Any]:
    """What a run tells of its training, for the bundle's metrics."""
    run_facts: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {k: run_facts[k] for k in _TRAINING if k in run_facts}


def start(
    network: Network | Ensemble, shapes: Mapping[str, Shape], recipe: Recipe
) -> tuple[Engine, tuple[bytes, bytes]]:
    """An engine on the two graphs of a network, and the graphs."""
    width = sum(column.width for column in recipe.clinical.values())
    model, head = model_graph(network, shapes, width), head_graph(network)
    return Engine.of_graphs(model, head, recipe), (model, head)


def assemble(
    cohort: Cohort,
    recipe: Recipe,
    prepared: Mapping[str, Prepared],
    graphs: tuple[bytes, bytes],
    weights: bytes,
    decided: tuple[DecisionFacts, dict[str, Any]],
    measured: tuple[Measured, Measured],
    parity: Parity,
    training: dict[str, Any],
    chosen_on: Measured | None = None,
) -> Parts:
    """All parts of a bundle; measured: of training and of validation cases; chosen_on: where it is not the latter."""
    decision, facts = decided
    baseline = _baseline(cohort, recipe, prepared, *measured)
    if chosen_on is None:
        chosen_on = measured[1]
    _, _, owners = chosen_on.of_target(recipe, recipe.target_name)
    decision = replace(decision, chosen_on=tuple(sorted({hash_patient(baseline.salt, p) for p in owners})))
    origin = record(weights_sha256=sha256_bytes(weights), seed=recipe.seed, **_told(training))
    chosen = {
        "thresholds": dict(decision.thresholds),
        "temperature": decision.temperature,
        "patients": facts["patients"],
    }
    return Parts(
        recipe=recipe,
        model_onnx=graphs[0],
        head_onnx=graphs[1],
        weights=weights,
        decision=decision,
        baseline=baseline,
        metrics={
            "validation": facts,
            "parity": {"cases": parity.cases, "logits": parity.logits, "maps": parity.maps},
            "training": training,
        },
        model_card=model_card(recipe, _card_data(cohort, baseline, training, facts), provenance=origin, chosen=chosen),
        provenance=origin,
    )


def measure(engine: Engine, cases: Sequence[Case], prepared: Mapping[str, Prepared], recipe: Recipe) -> Measured:
    """Run the engine over prepared cases that have a label, as a prediction does."""
    logits, owners, found, embeddings = [], [], [], []
    for case in cases:
        if all(columns(case, name, target) is None for name, target in recipe.targets.items()):
            continue
        views = {role: bags for role in recipe.inputs if (bags := prepared[role].arrays(case))}
        if not views:
            continue
        out = engine.run(of_case(views, clinical(case.attributes, recipe.clinical), engine.input_shapes, recipe))
        logits.append(out.logits)
        embeddings.append(out.embedding)
        owners += [case.patient] * len(out.logits)
        found += [case] * len(out.logits)
    if not logits:
        raise ExportError("Not one case could be measured: none is both prepared and labelled; check the cohort.")
    return Measured(np.concatenate(logits), np.concatenate(embeddings), tuple(owners), tuple(found))


def decide_on(val: Measured, train: Measured, recipe: Recipe) -> tuple[DecisionFacts, dict[str, Any]]:
    """Temperature and recalibration from single inputs; the rest from patients, as the policy will see them.

    train: what the baseline hazard of a survival target rests on besides.
    """
    kind, target = recipe.target.kind, recipe.target
    logits, truth, owners = val.of_target(recipe, recipe.target_name)
    labels = truth > 0.5
    temperature = calibration.fit_temperature(logits, labels, kind)
    how = recipe.policy.calibration
    recalibration = (
        None if how == "temperature" else recalibrate.fit(labels, from_logits(logits, temperature, kind), how, kind)
    )
    scaling = DecisionFacts({}, temperature, (), recalibration=recalibration)
    probabilities = calibrated.probabilities(logits, scaling, kind)
    rows, patient_y = by_owner(probabilities, labels, owners)
    pooling = recipe.policy.aggregate
    power = fit_power(rows, patient_y, kind) if pooling == "learned" else 1.0
    # rounded as a Prediction's are, so that the patient who sets a threshold reaches it
    patient_p = np.stack([aggregate(mine, pooling, kind, power).astype(np.float32) for mine in rows])
    chosen: dict[str, float] = {}
    for i, name in enumerate(target.classes):
        both = 0 < patient_y[:, i].sum() < len(patient_y)
        chosen[name] = (
            thresholds.choose(patient_y[:, i], patient_p[:, i], recipe.policy.operating_point) if both else 0.5
        )
    accepted = _accepted(patient_p, patient_y, chosen[target.positive], recipe)
    quantiles = conformal.quantiles(patient_p, patient_y, kind, recipe.policy.conformal_level)
    further: dict[str, FurtherFacts] = further_facts(val, train, recipe)
    facts = {
        "patients": len(patient_y),
        "positives": int(patient_y[:, target.positive_index].sum()),
        "inputs": len(labels),
        "temperature": temperature,
        "calibration": how,
        "power": power,
        "threshold": chosen[target.positive],
        "of_class": patient_y.sum(axis=0).tolist(),
    }
    if accepted is not None:
        facts["referral"] = asdict(accepted)
    accept_from = None if accepted is None else accepted.threshold
    return replace(
        scaling, thresholds=chosen, conformal=quantiles, further=further, accept_from=accept_from, power=power
    ), facts


def _accepted(
    p: NDArray[np.float32], y: NDArray[np.bool_], threshold: float, recipe: Recipe
) -> referral.Referral | None:
    """From which confidence on the policy accepts, where it bounds the risk."""
    refer = recipe.policy.refer
    if refer.risk is None:
        return None
    confidence, called, right = referral.judged(p, y, recipe.target, threshold)
    eligible = np.round(confidence, 6) >= refer.confidence
    limit, sure = refer.risk.error, refer.risk.confidence
    if refer.risk.of == "error":
        return referral.control(confidence, right, limit, sure, eligible=eligible)
    positive = y[:, recipe.target.positive_index]
    return referral.control_missed(confidence, called, positive, limit, sure, eligible=eligible)


def _baseline(
    cohort: Cohort, recipe: Recipe, prepared: Mapping[str, Prepared], train: Measured, val: Measured
) -> Baseline:
    known_scans = domain_fit.fit(_cases(train, prepared, recipe), _cases(val, prepared, recipe))
    mean, precision = known_scans.embedding_mean, known_scans.embedding_precision
    distances = np.sort([domain.distance(e, mean, precision) for e in val.embeddings])
    seen = (*cohort.of_split("train"), *cohort.of_split("val"))
    salt = new_salt()
    root = Path(cohort.root)
    files = {sha256_file(root / p) for c in seen for s in c.scans.values() for p in s.paths if (root / p).is_file()}
    labelled = [classes(c, recipe.target_name, recipe.target) or () for c in cohort.of_split("train")]
    first = prepared[recipe.role]
    rows = np.array([i for c in seen for offset, n in first.bags(c) for i in range(offset, offset + n)])
    sample = first.slices[np.sort(rows)[:: max(1, len(rows) // 256)]]
    pictures = near.of_cases(seen, root)
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
        sites=tuple(sorted({hash_patient(salt, site) for c in seen if (site := known.site(c))})),
        codes=pictures.codes,
        code_medians=pictures.medians,
        neighbours=known_scans.neighbours,
        pictures=known_scans.pictures,
        scale=known_scans.scale,
        scaled=known_scans.scaled,
    )


def _cases(measured: Measured, prepared: Mapping[str, Prepared], recipe: Recipe) -> domain_fit.Cases:
    """What a measurement tells of whole cases, each once, with how the pictures of each of its roles look."""
    first = {case.key: i for i, case in reversed(list(enumerate(measured.cases)))}
    chosen = [measured.cases[i] for i in sorted(first.values())]
    number = {case.key: i for i, case in enumerate(chosen)}
    looks = {}
    for role in recipe.inputs:
        nothing = np.full(suitable_statistics.width(prepared[role].slices.shape[1]), np.nan)
        bags = [prepared[role].arrays(case) for case in chosen]
        looks[role] = np.stack([suitable_statistics.of_bags(each) if each else nothing for each in bags])
    owner = np.array([number[case.key] for case in measured.cases])
    return domain_fit.Cases(measured.embeddings, owner, [case.patient for case in chosen], looks)


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


def _told(training: dict[str, Any]) -> dict[str, Any]:
    return {"shuffled_labels": True} if training.get("shuffled_labels") else {}


def even(cases: Sequence[Case], count: int) -> list[Case]:
    """At most `count` cases, spread evenly over all of them."""
    if len(cases) <= count:
        return list(cases)
    return [cases[i] for i in np.linspace(0, len(cases) - 1, count).astype(int)]
