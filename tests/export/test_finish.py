from pathlib import Path

import numpy as np
import pytest
import torch
from tests.made_arrays import cohort, recipe

from insula.bundle.load import load
from insula.bundle.patients import hash_patient
from insula.core.errors import ExportError
from insula.core.types import Cohort
from insula.export import finish as finishing
from insula.export import parity
from insula.export.finish import finish
from insula.export.onnx import head_graph, model_graph
from insula.infer.engine import Engine
from insula.infer.predict import Predictor
from insula.metrics.probabilities import from_logits
from insula.train.data import Sample
from insula.train.fit import Run, fit

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
        out = engine.run(x, np.ones((1, s), np.float32))
        with torch.no_grad():
            ours = run.network.explain(torch.from_numpy(x), torch.ones(1, s))
        assert np.abs(out.logits - ours.logits.numpy()).max() < 1e-4
        assert np.abs(out.maps - ours.maps.numpy()).max() < 1e-4
        np.testing.assert_allclose(out.slice_weights, ours.slice_weights.numpy(), atol=1e-5)


def test_a_case_is_predicted_with_the_bundle_s_own_temperature(made: tuple[Run, Cohort, Path]) -> None:
    run, table, root = made
    bundle = load(root / "bundle")
    case = table.of_split("val")[0]
    prediction = Predictor(bundle).case(case, Path(table.root), passes=5)
    x = torch.from_numpy(np.array(run.prepared.case(case.key)))[None]
    with torch.no_grad():
        logits = run.network.explain(x, torch.ones(1, x.shape[1])).logits.numpy()
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


def test_thresholds_come_from_validation_and_the_bundle_holds_every_file(made: tuple[Run, Cohort, Path]) -> None:
    run, table, root = made
    val = finishing.measure(Engine(load(root / "bundle")), table.of_split("val"), run.prepared, run.recipe)
    decision, facts = finishing.decide_on(val, run.recipe)
    assert decision.thresholds == pytest.approx(load(root / "bundle").decision.thresholds)
    assert facts["patients"] == len(table.of_split("val"))
    assert {p.name for p in (root / "bundle").iterdir()} == {
        "recipe.yaml",
        "model.onnx",
        "head.onnx",
        "weights.safetensors",
        "decision.json",
        "baseline.json",
        "baseline.safetensors",
        "metrics.json",
        "model-card.md",
        "provenance.json",
        "manifest.json",
    }


def test_a_graph_of_another_network_is_refused(made: tuple[Run, Cohort, Path]) -> None:
    run, _, _ = made
    engine = Engine.of_graphs(model_graph(run.network, "mri", 1, (32, 32)), head_graph(run.network), "mri")
    rows = [Sample(o, n, (1.0, 0.0, 0.0)) for o, n in run.prepared.places.values()]
    assert parity.check(run.network, engine, rows, run.prepared).cases == len(rows)
    with torch.no_grad():
        run.network.head.bias.add_(0.01)
    try:
        with pytest.raises(ExportError, match=r"differs from the trained network by 0\.01"):
            parity.check(run.network, engine, rows, run.prepared)
    finally:
        with torch.no_grad():
            run.network.head.bias.sub_(0.01)


def test_images_of_one_patient_share_a_threshold_on_their_pooled_probability() -> None:
    settings = recipe("inputs.mri.unit=image", "policy.operating_point={youden: true}")
    logits = np.array([[0, 0, 4.0], [0, 0, -4.0], [0, 0, 3.0], [2.0, 0, 0]], np.float32)
    labels = np.array([[0, 0, 1], [0, 0, 1], [1, 0, 0], [1, 0, 0]], bool)
    val = finishing.Measured(logits, logits, labels, ("a", "a", "b", "b"))
    _, facts = finishing.decide_on(val, settings)
    assert (facts["patients"], facts["inputs"], facts["positives"]) == (2, 4, 1)
