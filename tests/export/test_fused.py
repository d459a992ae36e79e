"""A fused recipe with further targets from the network to a prediction: one export, asked from every side."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from tests.export.made_cohort import cohort, run
from tests.made_fused import given

from insula.bundle.layout import LIMITS, MANIFEST
from insula.bundle.load import load
from insula.bundle.save import manifest_bytes
from insula.bundle.types import Bundle
from insula.core.errors import BundleError, ExportError, UnsuitableScanError
from insula.core.types import Cohort
from insula.export import parity
from insula.export.finish import decide_on, finish, measure
from insula.infer.decide import decide
from insula.infer.engine import Engine
from insula.infer.predict import Predictor
from insula.infer.sampling import keep_masks
from insula.metrics.survival import breslow
from insula.train.run import Run

pytestmark = pytest.mark.train


@dataclass(frozen=True)
class Made:
    run: Run
    table: Cohort
    bundle: Bundle
    parity: parity.Parity
    predictor: Predictor


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("fused")
    table = cohort(root)
    done = run(root, table)
    _, measured = finish(done, table, root / "bundle")
    bundle = load(root / "bundle")
    return Made(done, table, bundle, measured, Predictor(bundle, threads=1))


def case(made: Made, has: set[str]) -> Any:
    return next(c for c in made.table.of_split("val") if set(c.scans) == has)


def as_arrays(x: Mapping[str, torch.Tensor], mask: Mapping[str, torch.Tensor], clinical: Any) -> dict[str, np.ndarray]:
    return {
        **{role: t.numpy() for role, t in x.items()},
        **{f"{role}_mask": t.numpy() for role, t in mask.items()},
        "clinical": clinical.numpy(),
    }


@pytest.mark.parametrize(
    "bags",
    [
        {"ct": [[1]], "mri": [[1]]},
        {"ct": [[1]], "mri": [[]]},
        {"ct": [[]], "mri": [[5]]},
        {"ct": [[]], "mri": [[]]},
        {"ct": [[3, 1, 2, 1]], "mri": [[9]]},
        {"ct": [[30]], "mri": [[2, 2]]},
        {"ct": [[2], [1, 1], []], "mri": [[], [7, 1], [2]]},
        {"ct": [[1]] * 20, "mri": [[2]] * 20},
    ],
    ids=str,
)
def test_the_graph_equals_the_network_for_any_number_of_cases_slices_and_bags(
    made: Made, bags: dict[str, list[list[int]]]
) -> None:
    x, mask, clinical = given(made.run.recipe, bags, seed=len(str(bags)))
    with torch.no_grad():
        ours = made.run.network.explain(x, mask, clinical)
    theirs = made.predictor.engine.run(as_arrays(x, mask, clinical))
    np.testing.assert_allclose(theirs.logits, ours.logits.numpy(), atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(theirs.embedding, ours.embedding.numpy(), atol=1e-4, rtol=1e-4)
    for role in x:
        np.testing.assert_allclose(theirs.maps[role], ours.maps[role].numpy(), atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(theirs.slice_weights[role], ours.slice_weights[role].numpy(), atol=1e-5)


def test_the_head_alone_gives_the_columns_of_all_targets(made: Made) -> None:
    inputs = given(made.run.recipe, {"ct": [[2], [1]], "mri": [[1], []]})
    out = made.predictor.engine.run(as_arrays(*inputs))
    head = made.predictor.engine.head(out.embedding, np.ones_like(out.embedding))
    np.testing.assert_allclose(head, out.logits, atol=1e-4, rtol=1e-5)


def test_it_does_so_for_embeddings_far_beyond_those_of_training(made: Made) -> None:
    """Log probabilities must not run into the logarithm of 0, whatever dropout or an odd scan makes of an embedding."""
    h = 40.0 * np.random.default_rng(1).random((50, 24), dtype=np.float32)
    keep = (np.random.default_rng(2).random((50, 24)) < 0.5).astype(np.float32) * 2
    found = made.predictor.engine.head(h, keep)
    with torch.no_grad():
        ours = made.run.network.heads(torch.from_numpy(h * keep)).numpy()
    stage = ours[:, made.run.recipe.columns("stage")]
    assert stage.min() < -60.0
    np.testing.assert_allclose(found, ours, atol=1e-3, rtol=1e-4)


def test_the_parity_that_the_bundle_tells_was_measured_on_all_cases(made: Made) -> None:
    assert made.parity.cases == len(made.table.cases)
    assert max(made.parity.logits, made.parity.maps) < parity.TOLERANCE
    assert made.bundle.metrics["parity"]["cases"] == made.parity.cases


@pytest.mark.parametrize("part", ["score.bias", "first_stage", "std_volume"])
def test_a_graph_of_another_network_is_refused(made: Made, part: str) -> None:
    """A change in the columns of one target alone, however large those of the others are."""
    network, cases = made.run.network, made.table.cases
    with torch.no_grad():
        value = network.heads.state_dict()[part]
        value[0] += 0.01
        with pytest.raises(ExportError, match=r"differs from the trained network by 0\.0.*was not written"):
            parity.check(network, made.predictor.engine, cases, made.run.prepared, made.run.recipe)
        value[0] -= 0.01
    assert parity.check(network, made.predictor.engine, cases, made.run.prepared, made.run.recipe).cases == len(cases)


def test_a_measure_in_large_units_excuses_no_other_column(made: Made) -> None:
    heads = made.run.network.heads

    class Far:
        """The engine with a large measure on both sides and a class column that is off by 0.01."""

        input_shapes = made.predictor.engine.input_shapes

        def run(self, feed: Any) -> Any:
            out = made.predictor.engine.run(feed)
            logits = out.logits.copy()
            logits[:, -1] = 1e6 + 1e5 * (logits[:, -1] - 40.0) / 15.0
            logits[:, 0] += 0.01
            return replace(out, logits=logits)

    heads.set_scale("volume", 1e6, 1e5)
    try:
        with pytest.raises(ExportError, match="in a column"):
            parity.check(made.run.network, Far(), made.table.cases, made.run.prepared, made.run.recipe)  # type: ignore[arg-type]
    finally:
        heads.set_scale("volume", 40.0, 15.0)


def test_nothing_compared_is_no_parity(made: Made) -> None:
    empty = [replace(c, key="elsewhere") for c in made.table.cases[:2]]
    with pytest.raises(ExportError, match="Not one case could be compared"):
        parity.check(made.run.network, made.predictor.engine, empty, made.run.prepared, made.run.recipe)


def columns_of(made: Made, one: Any) -> np.ndarray:
    """The network's columns of a case, through its own forward pass on the prepared slices."""
    recipe = made.run.recipe
    x, mask = {}, {}
    for role in recipe.inputs:
        bags = made.run.prepared[role].arrays(one)
        count = max(1, sum(len(b) for b in bags))
        x[role] = torch.zeros(1, count, *made.run.shapes[role])
        mask[role] = torch.zeros(1, max(1, len(bags)), count)
        at = 0
        for b, bag in enumerate(bags):
            x[role][0, at : at + len(bag)] = torch.from_numpy(np.array(bag))
            mask[role][0, b, at : at + len(bag)] = 1.0
            at += len(bag)
    age = one.attributes["age"].removesuffix("Y")
    sex = one.attributes["sex"]
    clinical = torch.tensor([[float(age) if age else math.nan, float(sex == "F"), float(sex == "M")]])
    with torch.no_grad():
        columns: np.ndarray = made.run.network(x, mask, clinical).numpy()
    return columns


@pytest.mark.parametrize(
    "has", [{"ct"}, {"mri"}, {"ct", "mri"}, {"ct", "mri", "mri.2"}], ids=lambda v: "+".join(sorted(v))
)
def test_a_case_is_predicted_whatever_scans_it_has(made: Made, has: set[str]) -> None:
    one = next(c for c in made.table.cases if set(c.scans) == has)
    found = made.predictor.case(one, Path(made.table.root), passes=20)
    columns, recipe = columns_of(made, one), made.run.recipe
    facts = made.bundle.decision
    primary = softmax(columns[0, :3].astype(float) / facts.temperature)
    np.testing.assert_allclose(found.probabilities, primary, atol=1e-4)
    stage = softmax(columns[0, recipe.columns("stage")].astype(float) / facts.further["stage"].temperature)
    np.testing.assert_allclose(found.also["stage"].values, stage, atol=1e-4)
    assert found.also["death"].values[0] == pytest.approx(columns[0, recipe.columns("death")][0], abs=1e-3)
    assert found.also["volume"].values[0] == pytest.approx(columns[0, -1], rel=1e-4)
    assert list(found.also) == ["stage", "death", "volume"]
    assert found.also["death"].names == ("log_hazard", "event_free_100", "event_free_300", "event_free_9000")
    assert found.also["death"].values[1] > found.also["death"].values[2]
    assert set(found.heatmaps) == has
    assert found.heatmaps[min(has)].array.shape[0] == columns.shape[1]
    total = {role: sum(float(h.weights.sum()) for name, h in found.heatmaps.items() if name.split(".")[0] == role)
             for role in {name.split(".")[0] for name in has}}  # fmt: skip
    assert total == pytest.approx(dict.fromkeys(total, 1.0), abs=1e-5)
    said = [w for w in found.warnings if "predicted without it" in w]
    assert said == [f"no scan for '{role}': predicted without it" for role in recipe.inputs if role not in has]
    assert decide(found, made.bundle).label in recipe.target.classes


def test_the_spreads_of_all_answers_are_those_of_the_head_under_the_documented_masks(made: Made) -> None:
    one = case(made, {"ct"})
    found = made.predictor.case(one, Path(made.table.root), passes=25)
    keep = keep_masks(found.embedding, 25, 0.3, made.run.recipe.seed)
    with torch.no_grad():
        sampled = made.run.network.heads(torch.from_numpy(found.embedding * keep)).numpy().astype(float)
    facts, recipe = made.bundle.decision, made.run.recipe
    assert found.spread is not None
    np.testing.assert_allclose(found.spread, softmax(sampled[:, :3] / facts.temperature, 1).std(0), atol=1e-4)
    stage = softmax(sampled[:, recipe.columns("stage")] / facts.further["stage"].temperature, 1).std(0)
    np.testing.assert_allclose(found.also["stage"].spread, stage, atol=1e-4)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.also["volume"].spread, [sampled[:, -1].std()], rtol=1e-3)  # type: ignore[arg-type]
    assert found.also["stage"].spread.max() > 0.01  # type: ignore[union-attr]
    assert made.predictor.case(one, Path(made.table.root)).also["stage"].spread is None


def test_clinical_columns_count_and_unknown_ones_are_said(made: Made) -> None:
    one = next(c for c in made.table.cases if set(c.scans) == {"ct", "mri"} and c.attributes["age"])
    root = Path(made.table.root)
    whole = made.predictor.case(one, root)
    assert not any("not known of the patient" in w for w in whole.warnings)
    blind = made.predictor.case(replace(one, attributes={}), root)
    assert "not known of the patient: age, sex" in blind.warnings
    assert np.abs(whole.probabilities - blind.probabilities).max() > 1e-4
    views, _ = made.predictor.views(one, root)
    known = made.predictor.draws(views, "dropout", 8, one.attributes)
    unknown = made.predictor.draws(views, "dropout", 8)
    assert np.abs(known.mean(0) - unknown.mean(0)).max() > 1e-4


def test_a_case_without_any_of_the_roles_is_refused(made: Made) -> None:
    one = made.table.cases[0]
    with pytest.raises(UnsuitableScanError, match="the recipe takes 'ct' or 'mri'"):
        made.predictor.case(replace(one, scans={"slide": one.scans["ct"]}), Path(made.table.root))


def test_further_facts_are_those_of_validation_and_survive_the_file(made: Made) -> None:
    engine, recipe = made.predictor.engine, made.run.recipe
    val, train = (measure(engine, made.table.of_split(s), made.run.prepared, recipe) for s in ("val", "train"))
    decision, _ = decide_on(val, train, recipe)
    kept = made.bundle.decision
    assert kept.thresholds == pytest.approx(dict(decision.thresholds))
    assert kept.further["stage"].temperature == pytest.approx(decision.further["stage"].temperature)
    assert kept.further["volume"].hazards == ()
    hazards = kept.further["death"].hazards
    assert math.isnan(hazards[2])  # nobody was followed for 9,000 days
    both = [(c, float(m.logits[i, recipe.columns("death")][0])) for m in (val, train) for i, c in enumerate(m.cases)]
    time, event = ([c.attributes[name] for c, _ in both] for name in ("days", "dead"))
    base = breslow(np.array(time, float), np.array(event, float) > 0, [risk for _, risk in both])
    for horizon, hazard in zip((100, 300), hazards, strict=False):
        at = [h for t, h in zip(base.times, base.hazard, strict=True) if t <= horizon]
        assert hazard == pytest.approx(at[-1], rel=1e-6)
    written = json.loads((made.bundle.path / "decision.json").read_text())
    assert written["further"]["death"]["hazards"][2] is None
    assert written["accept_from"] is None


def test_labels_that_only_the_attributes_hold_are_counted_too(made: Made) -> None:
    assert made.bundle.baseline.class_counts == {"healthy": 4, "benign": 4, "malignant": 4}
    moved = [
        replace(c, labels={}, attributes={**c.attributes, "tumour": c.labels["tumour"][0]}) for c in made.table.cases
    ]
    from insula.export.finish import _baseline

    engine, recipe = made.predictor.engine, made.run.recipe
    table = replace(made.table, cases=tuple(moved))
    val, train = (measure(engine, table.of_split(s), made.run.prepared, recipe) for s in ("val", "train"))
    counted = _baseline(table, recipe, made.run.prepared, train, val).class_counts
    assert counted == made.bundle.baseline.class_counts


def test_the_engine_refuses_clinical_columns_of_another_width_and_warms_up(made: Made) -> None:
    engine = made.predictor.engine
    engine.warm()
    assert engine.clinical == 3
    assert engine.input_shapes == made.run.shapes
    feed = as_arrays(*given(made.run.recipe, {"ct": [[2]], "mri": [[1]]}))
    with pytest.raises(UnsuitableScanError, match=r"shape \(1, 2\), and the network takes 3 numbers a case"):
        engine.run({**feed, "clinical": feed["clinical"][:, :2]})
    with pytest.raises(UnsuitableScanError, match="it was given"):
        engine.run({k: v for k, v in feed.items() if k != "clinical"})
    with pytest.raises(UnsuitableScanError, match="different numbers of cases"):
        engine.run({**feed, "mri": np.zeros((2, 1, 1, 16, 16), np.float32)})
    age_alone = {"age": made.run.recipe.clinical["age"]}
    with pytest.raises(BundleError, match="clinical columns of the shape"):
        Engine.of_graphs(
            (made.bundle.path / "model.onnx").read_bytes(),
            (made.bundle.path / "head.onnx").read_bytes(),
            made.run.recipe.model_copy(update={"clinical": age_alone}),
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"death": None}, "speaks of the further targets"),
        ({"more": {"temperature": 1.0, "hazards": []}}, "speaks of the further targets"),
        ({"death": {"temperature": 1.0, "hazards": [0.1]}}, "has 1 hazards for 'death', and the recipe asks for 3"),
        ({"stage": {"temperature": 1.0, "hazards": [0.1]}}, "has 1 hazards for 'stage', and the recipe asks for 0"),
        ({"stage": {"temperature": 0.0, "hazards": []}}, r"further\.stage\.temperature"),
        ({"death": {"temperature": 1.0, "hazards": [0.1, -1.0, None]}}, r"further\.death\.hazards"),
    ],
)
def test_further_facts_that_do_not_fit_the_recipe_are_refused(
    made: Made, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    data = {name: (made.bundle.path / name).read_bytes() for name in LIMITS}
    decision = json.loads(data["decision.json"])
    decision["further"] = {k: v for k, v in (decision["further"] | change).items() if v is not None}
    data["decision.json"] = json.dumps(decision).encode()
    for name, content in data.items():
        (folder / name).write_bytes(content)
    (folder / MANIFEST).write_bytes(manifest_bytes(data))
    with pytest.raises(BundleError, match=said):
        load(folder)
