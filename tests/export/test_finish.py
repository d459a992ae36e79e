"""A trained run of one role as a bundle: what it predicts, knows and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.made_arrays import cohort, recipe

from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load
from insula.bundle.patients import hash_patient
from insula.core.errors import ExportError
from insula.core.types import Case, Cohort
from insula.export import finish as finishing
from insula.export import parity
from insula.export.finish import Measured, finish
from insula.infer import conformal
from insula.infer.calibrated import probabilities
from insula.infer.engine import Engine
from insula.infer.predict import Predictor
from insula.metrics.probabilities import from_logits
from insula.train.fit import fit
from insula.train.run import Run

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Cohort, Path]:
    root = tmp_path_factory.mktemp("made")
    table = cohort(root, 30)
    run = fit(table, recipe("model.pool=attention"), root / "run", root / "cache")
    finish(run, table, root / "bundle")
    return run, table, root


def test_the_bundle_predicts_what_the_network_does_on_one_hundred_cases(made: tuple[Run, Cohort, Path]) -> None:
    run, _, root = made
    bundle = load(root / "bundle")
    engine = Engine(bundle)
    rng = np.random.default_rng(0)
    for _ in range(100):
        s = int(rng.integers(1, 9))
        x = rng.random((1, s, 1, 32, 32)).astype(np.float32)
        mask = np.zeros((1, 2, s), np.float32)
        mask[0, 0, : s // 2], mask[0, 1, s // 2 :] = 1.0, 1.0
        out = engine.run({"mri": x, "mri_mask": mask})
        with torch.no_grad():
            ours = run.network.explain({"mri": torch.from_numpy(x)}, {"mri": torch.from_numpy(mask)})
        assert np.abs(out.logits - ours.logits.numpy()).max() < 1e-4
        assert np.abs(out.maps["mri"] - ours.maps["mri"].numpy()).max() < 1e-4
        np.testing.assert_allclose(out.slice_weights["mri"], ours.slice_weights["mri"].numpy(), atol=1e-5)


def test_a_case_is_predicted_with_the_bundle_s_own_temperature(made: tuple[Run, Cohort, Path]) -> None:
    run, table, root = made
    bundle = load(root / "bundle")
    case = table.of_split("val")[0]
    prediction = Predictor(bundle).case(case, Path(table.root), passes=5)
    x = torch.from_numpy(np.array(run.prepared["mri"].case(case.key)))[None]
    with torch.no_grad():
        logits = run.network({"mri": x}, {"mri": torch.ones(1, 1, x.shape[1])}).numpy()
    expected = from_logits(logits, bundle.decision.temperature, "multiclass")[0]
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-5)
    assert prediction.spread is not None
    assert prediction.spread.max() > 0


def test_the_baseline_knows_training_and_validation_patients_and_no_names(made: tuple[Run, Cohort, Path]) -> None:
    _, table, root = made
    base = load(root / "bundle").baseline
    assert len(base.patients) == len({c.patient for c in table.cases})
    assert hash_patient(base.salt, "p00") in base.patients
    assert hash_patient(base.salt, "nobody") not in base.patients
    assert sum(base.class_counts.values()) == len(table.of_split("train"))
    everything = b"".join(p.read_bytes() for p in (root / "bundle").iterdir() if p.suffix in (".json", ".md"))
    assert b"p00" not in everything
    assert str(root).encode() not in everything


def test_the_baseline_s_scale_is_that_of_the_validation_cases(made: tuple[Run, Cohort, Path]) -> None:
    _, table, root = made
    bundle = load(root / "bundle")
    base, predictor = bundle.baseline, Predictor(bundle)
    assert base.neighbours.shape == (len(table.of_split("train")), len(base.embedding_mean))
    val = [predictor.case(case, Path(table.root)) for case in table.of_split("val")]
    assert set(val[0].distances) == {"features", "neighbours", "picture_mri", "all"}
    found = sorted(one.distances["all"] for one in val)
    np.testing.assert_allclose(found, base.scaled, atol=1e-3)
    assert np.median(found) == pytest.approx(0.0, abs=1e-3)
    assert found[-1] == pytest.approx(1.0, abs=1e-3)  # of ten the largest
    assert max(one.domain_score for one in val) == 1.0
    noise = np.random.default_rng(0).random((4, 1, 32, 32)).astype(np.float32) ** 8
    assert predictor.from_slices(noise, "noise").distances["all"] > 2.0


def test_thresholds_come_from_validation_and_the_bundle_holds_every_file(made: tuple[Run, Cohort, Path]) -> None:
    run, table, root = made
    val = finishing.measure(Engine(load(root / "bundle")), table.of_split("val"), run.prepared, run.recipe)
    decision, facts = finishing.decide_on(val, val, run.recipe)
    assert decision.thresholds == pytest.approx(load(root / "bundle").decision.thresholds)
    assert facts["patients"] == len(table.of_split("val"))
    assert {p.name for p in (root / "bundle").iterdir()} == {*LIMITS, MANIFEST}


def test_a_graph_of_another_network_is_refused(made: tuple[Run, Cohort, Path]) -> None:
    run, table, root = made
    engine = Engine(load(root / "bundle"))
    assert parity.check(run.network, engine, table.cases, run.prepared, run.recipe).cases == len(table.cases)
    with torch.no_grad():
        run.network.heads.score.bias.add_(0.01)
    try:
        with pytest.raises(ExportError, match=r"differs from the trained network by 0\.0"):
            parity.check(run.network, engine, table.cases, run.prepared, run.recipe)
    finally:
        with torch.no_grad():
            run.network.heads.score.bias.sub_(0.01)


def case(key: str, label: str) -> Case:
    return Case(key, key[0], {}, {"tumour": (label,)} if label else {})


def test_images_of_one_patient_share_a_threshold_on_their_pooled_probability() -> None:
    settings = recipe("inputs.mri.unit=image", "policy.operating_point={youden: true}")
    logits = np.array([[0, 0, 4.0], [0, 0, -4.0], [0, 0, 3.0], [2.0, 0, 0]], np.float32)
    cases = (case("a1", "malignant"), case("a2", "malignant"), case("b1", "healthy"), case("b2", "healthy"))
    val = Measured(logits, logits, ("a", "a", "b", "b"), cases)
    _, facts = finishing.decide_on(val, val, settings)
    assert (facts["patients"], facts["inputs"], facts["positives"]) == (2, 4, 1)


def test_a_target_that_no_validation_case_is_labelled_for_is_refused_by_name() -> None:
    settings = recipe("targets.grade={kind: ordinal, classes: [I, II, III]}")
    logits = np.zeros((2, 6), np.float32)
    cases = (case("a", "malignant"), case("b", "healthy"))
    val = Measured(logits, logits, ("a", "b"), cases)
    with pytest.raises(ExportError, match="Not one validation case is labelled for 'grade'"):
        finishing.decide_on(val, val, settings)
    graded = tuple(replace(c, attributes={"grade": g}) for c, g in zip(cases, ("I", "III"), strict=True))
    decision, _ = finishing.decide_on(replace(val, cases=graded), val, settings)
    assert set(decision.further) == {"grade"}


def test_a_case_that_is_not_labelled_for_the_first_target_still_counts_for_the_others() -> None:
    settings = recipe("targets.grade={kind: ordinal, classes: [I, II, III]}")
    logits = np.arange(18, dtype=np.float32).reshape(3, 6)
    plain = (case("a", "malignant"), case("b", ""), case("c", "healthy"))
    cases = tuple(replace(c, attributes={"grade": g}) for c, g in zip(plain, ("", "II", "I"), strict=True))
    val = Measured(logits, logits, ("a", "b", "c"), cases)
    columns, labels, owners = val.of_target(settings, "tumour")
    assert (columns.tolist(), owners) == ([[0, 1, 2], [12, 13, 14]], ("a", "c"))
    assert labels.tolist() == [[0, 0, 1], [1, 0, 0]]
    columns, labels, owners = val.of_target(settings, "grade")
    assert (columns.tolist(), owners) == ([[9, 10, 11], [15, 16, 17]], ("b", "c"))
    assert labels.tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("how", ["isotonic", "logistic"])
def test_thresholds_and_quantiles_belong_to_recalibrated_probabilities(how: str) -> None:
    g = np.random.default_rng(2)
    names = ("healthy", "benign", "malignant")
    true = g.integers(0, 3, 300)
    logits = (3 * np.eye(3)[true] * (g.random((300, 1)) < 0.6) + g.normal(0, 1, (300, 3))).astype(np.float32)
    cases = tuple(case(f"p{i}", names[k]) for i, k in enumerate(true))
    val = Measured(logits, logits, tuple(c.key for c in cases), cases)
    plain, _ = finishing.decide_on(val, val, recipe())
    facts, told = finishing.decide_on(val, val, recipe(f"policy.calibration={how}"))
    assert plain.recalibration is None
    assert facts.recalibration is not None
    assert (facts.recalibration.how, told["calibration"]) == (how, how)
    p = probabilities(logits, facts, "multiclass").astype(np.float32)
    for k, name in enumerate(names):
        assert np.isclose(p[:, k], facts.thresholds[name]).any()  # a threshold is one of the probabilities in use
    assert facts.conformal == conformal.quantiles(p, np.eye(3)[true] > 0, "multiclass", recipe().policy.conformal_level)
    assert facts.conformal != plain.conformal


def test_a_learned_aggregate_is_fitted_on_validation_patients() -> None:
    g = np.random.default_rng(5)
    names = ("healthy", "benign", "malignant")
    logits, cases = [], []
    for i in range(60):  # of six slices of a sick patient one shows it
        true = int(g.integers(0, 3))
        for j in range(6):
            shown = true if j == 0 else 0
            logits.append(3 * np.eye(3)[shown] + g.normal(0, 0.5, 3))
            cases.append(replace(case(f"p{i}-{j}", names[true]), patient=f"p{i}"))
    table = np.array(logits, np.float32)
    val = Measured(table, table, tuple(c.patient for c in cases), tuple(cases))
    settings = ("inputs.mri.unit=image", "policy.aggregate=learned")
    facts, told = finishing.decide_on(val, val, recipe(*settings))
    assert facts.power > 1.5
    assert told["power"] == facts.power
    mean, _ = finishing.decide_on(val, val, recipe("inputs.mri.unit=image"))
    assert mean.power == 1.0


def test_the_graphs_tell_nothing_of_the_machine_that_wrote_them(made: tuple[Run, Cohort, Path]) -> None:
    for name in ("model.onnx", "head.onnx"):
        data = (made[2] / "bundle" / name).read_bytes()
        assert b".py" not in data
        assert b"torch.onnx" not in data
        onnx.checker.check_model(onnx.load_from_string(data))
