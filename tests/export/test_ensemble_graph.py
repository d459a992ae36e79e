"""Several runs as one bundle: its graphs are the mean of the members' own graphs, and its decisions are documented."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree

import numpy as np
import onnx
import pytest
from safetensors.numpy import load as read_weights
from scipy.special import softmax
from scipy.stats import entropy
from tests.export.made_cohort import cohort
from tests.made_fused import SHAPES, TARGETS, given, recipe, stirred

from insula.bundle.layout import LIMITS
from insula.bundle.load import load
from insula.bundle.save import manifest_bytes
from insula.bundle.types import Bundle
from insula.core.errors import ExportError
from insula.core.labels import clinical
from insula.core.recipe import Recipe
from insula.core.types import Cohort, Split
from insula.export.ensemble import of_folds, of_seeds
from insula.export.finish import Measured, decide_on, finish, measure, start
from insula.export.parity import Parity
from insula.infer.engine import Engine, Outputs
from insula.infer.feed import of_case
from insula.infer.predict import Predictor
from insula.model.ensemble import Ensemble
from insula.model.network import Network, Shape
from insula.prep.cache import build_all
from insula.train.run import Run, keep

pytestmark = pytest.mark.train
MEMBERS = 2
NEAR = 1e-4
BAGS = [
    {"ct": [[1]], "mri": [[1]]},
    {"ct": [[3], [1, 2], []], "mri": [[], [4, 1], [2]]},
    {"ct": [[2]] * 9, "mri": [[1]] * 9},
]


@dataclass(frozen=True)
class Made:
    runs: tuple[Run, ...]
    table: Cohort
    bundle: Bundle
    parity: Parity
    members: tuple[Engine, ...]


def asked() -> Recipe:
    """Two roles, one of them with weights of its slices that each member has its own of."""
    two = {name: TARGETS[name] for name in ("tumour", "stage")}
    return recipe(targets=two, pool="mean", roles={"ct": {"pool": "attention"}}, dropout=0.3)


def seeds(root: Path, table: Cohort) -> tuple[Run, ...]:
    """Runs of one recipe as training leaves them, with stirred weights of each seed in the place of trained ones."""
    prepared = build_all(table.cases, Path(table.root), asked(), root / "cache")
    found = []
    for i in range(MEMBERS):
        one = asked().model_copy(update={"seed": asked().seed + i})
        home = root / f"run-{i}"
        home.mkdir()
        facts = {"epochs": 1 + i, "best_val_loss": 1.0 + i, "start": "made.", "train_inputs": 12, "val_inputs": 6}
        found.append(keep(home, one, stirred(Network(one, SHAPES), seed=40 + i), prepared, facts))
    return tuple(found)


@pytest.fixture(scope="module", autouse=True)
def exported_once() -> Iterator[None]:
    """Writing a graph takes seconds; each network, and each list of members, is written once."""
    known: dict[tuple[int, ...], tuple[Engine, tuple[bytes, bytes]]] = {}

    def once(
        network: Network | Ensemble, shapes: Mapping[str, Shape], recipe: Recipe
    ) -> tuple[Engine, tuple[bytes, bytes]]:
        key = tuple(map(id, network.members)) if isinstance(network, Ensemble) else (id(network),)
        if key not in known:
            known[key] = start(network, shapes, recipe)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("insula.export.ensemble.start", once)
        patch.setattr("insula.export.finish.start", once)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("ensemble")
    table = cohort(root)
    runs = seeds(root, table)
    _, measured = of_seeds(runs, table, root / "bundle")
    engines = []
    for one in runs:
        finish(one, table, one.folder / "bundle")
        engines.append(Engine(load(one.folder / "bundle"), threads=1))
    return Made(runs, table, load(root / "bundle"), measured, tuple(engines))


def answers(engines: Sequence[Engine], bags: dict[str, list[list[int]]], seed: int = 0) -> list[Outputs]:
    """What graphs say to the same made cases."""
    x, mask, clinical = given(asked(), bags, seed)
    assert clinical is not None
    feed = {
        **{role: t.numpy() for role, t in x.items()},
        **{f"{role}_mask": t.numpy() for role, t in mask.items()},
        "clinical": clinical.numpy(),
    }
    return [engine.run(feed) for engine in engines]


@pytest.mark.parametrize("bags", BAGS, ids=str)
def test_the_graph_is_the_mean_of_the_members_own_graphs(made: Made, bags: dict[str, list[list[int]]]) -> None:
    whole, *each = answers([Engine(made.bundle, threads=1), *made.members], bags)
    np.testing.assert_allclose(whole.logits, np.mean([e.logits for e in each], axis=0), atol=NEAR, rtol=NEAR)
    np.testing.assert_allclose(
        whole.embedding, np.concatenate([e.embedding for e in each], axis=1), atol=NEAR, rtol=NEAR
    )
    for role in ("ct", "mri"):
        np.testing.assert_allclose(
            whole.maps[role], np.mean([e.maps[role] for e in each], axis=0), atol=NEAR, rtol=NEAR
        )
        mean = np.mean([e.slice_weights[role] for e in each], axis=0)
        np.testing.assert_allclose(whole.slice_weights[role], mean, atol=1e-5)
    assert max(float(e.maps["ct"].max()) for e in each) > 0.01  # maps that say something
    for one, other in itertools.pairwise(each):  # members that differ
        assert float(np.abs(one.logits - other.logits).max()) > 0.1
        assert float(np.abs(one.maps["ct"] - other.maps["ct"]).max()) > 0.01


@pytest.mark.parametrize("bags", BAGS, ids=str)
def test_the_graph_gives_each_member_s_own_columns(made: Made, bags: dict[str, list[list[int]]]) -> None:
    whole, *each = answers([Engine(made.bundle, threads=1), *made.members], bags)
    assert whole.members is not None
    assert whole.members.shape == (len(whole.logits), MEMBERS, whole.logits.shape[1])
    for i, one in enumerate(each):
        assert one.members is None
        np.testing.assert_allclose(whole.members[:, i], one.logits, atol=NEAR, rtol=NEAR)
    np.testing.assert_allclose(whole.members.mean(axis=1), whole.logits, atol=NEAR, rtol=NEAR)


def test_a_prediction_s_uncertainty_over_members_is_that_of_their_own_probabilities(made: Made) -> None:
    case = next(c for c in made.table.of_split("val") if set(c.scans) >= {"ct", "mri"})
    predictor = Predictor(made.bundle, threads=1)
    views, _ = predictor.views(case, Path(made.table.root))
    found = predictor.from_slices(views, case.key, attributes=case.attributes, ask=["members"]).uncertainty["members"]
    columns, facts = made.bundle.recipe.columns("tumour"), made.bundle.decision
    known = clinical(case.attributes, made.bundle.recipe.clinical)
    logits = [e.run(of_case(views, known, e.input_shapes, made.bundle.recipe)).logits for e in made.members]
    p = softmax(np.stack([one[0, columns] for one in logits]) / facts.temperature, axis=1)
    assert found.draws == MEMBERS
    np.testing.assert_allclose(found.mean, p.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found.spread, p.std(axis=0), atol=1e-4)
    assert found.spread.max() > 0.005
    assert found.mutual_information == pytest.approx(np.mean([entropy(row, p.mean(axis=0)) for row in p]), abs=1e-4)


def test_an_ensemble_from_before_members_were_given_says_so(made: Made, tmp_path: Path) -> None:
    graph = onnx.load_from_string((made.bundle.path / "model.onnx").read_bytes())
    kept = [output for output in graph.graph.output if output.name != "members"]
    del graph.graph.output[:]
    graph.graph.output.extend(kept)
    old = copytree(made.bundle.path, tmp_path / "old")
    (old / "model.onnx").write_bytes(graph.SerializeToString())
    (old / "manifest.json").write_bytes(manifest_bytes({name: (old / name).read_bytes() for name in LIMITS}))
    case = made.table.of_split("val")[0]
    got = Predictor(load(old), threads=1).case(case, Path(made.table.root), ask=["members"])
    assert got.uncertainty == {}
    assert any("export the ensemble again" in w for w in got.warnings)


def test_the_head_s_graph_is_the_mean_of_the_members_heads_under_any_mask(made: Made) -> None:
    engine = Engine(made.bundle, threads=1)
    whole, *each = answers([engine, *made.members], BAGS[2])
    draw = np.random.default_rng(0)
    keep_mask = (draw.random(whole.embedding.shape) > 0.3).astype(np.float32) / np.float32(0.7)
    parts = np.split(keep_mask, MEMBERS, axis=1)
    heads = [m.head(e.embedding, part) for m, e, part in zip(made.members, each, parts, strict=True)]
    np.testing.assert_allclose(engine.head(whole.embedding, keep_mask), np.mean(heads, axis=0), atol=1e-3, rtol=1e-4)
    plain = engine.head(whole.embedding, np.ones_like(whole.embedding))
    np.testing.assert_allclose(plain, whole.logits, atol=1e-3, rtol=1e-4)


def test_a_prediction_shows_the_averaged_maps_and_the_spread_of_all_members(made: Made) -> None:
    case = next(c for c in made.table.of_split("val") if set(c.scans) >= {"ct", "mri"})
    root = Path(made.table.root)
    found = Predictor(made.bundle, threads=1).case(case, root, passes=8)
    maps = [Predictor(load(r.folder / "bundle"), threads=1).case(case, root).heatmaps["ct"].array for r in made.runs]
    np.testing.assert_allclose(found.heatmaps["ct"].array, np.mean(maps, axis=0), atol=1e-4, rtol=1e-4)
    assert found.spread is not None
    assert float(found.spread.max()) > 0.0
    assert len(found.embedding) == MEMBERS * asked().model.features


def test_the_bundle_keeps_every_member_s_weights_and_names_them(made: Made) -> None:
    assert made.bundle.recipe.model.members == MEMBERS
    facts = json.loads((made.bundle.path / "metrics.json").read_text(encoding="utf-8"))["training"]
    assert facts["start"] == "2 networks averaged: other seeds"
    assert facts["members"] == [r.weights_sha256 for r in made.runs]
    assert (facts["epochs"], facts["best_val_loss"]) == (2, pytest.approx(1.5))
    assert 0.0 < made.parity.logits < 1e-4
    kept = read_weights((made.bundle.path / "weights.safetensors").read_bytes())
    for i, one in enumerate(made.runs):
        for name, value in one.network.state_dict().items():
            np.testing.assert_array_equal(kept[f"members.{i}.{name}"], value.numpy())


def test_other_seeds_are_decided_on_the_mean_s_answers_to_validation_cases(made: Made) -> None:
    engine, settings = Engine(made.bundle, threads=1), made.bundle.recipe
    prepared = made.runs[0].prepared
    val, train = (measure(engine, made.table.of_split(s), prepared, settings) for s in ("val", "train"))
    decision, _ = decide_on(val, train, settings)
    assert made.bundle.decision.temperature == pytest.approx(decision.temperature, rel=1e-6)
    assert made.bundle.decision.thresholds == pytest.approx(dict(decision.thresholds), rel=1e-6)
    assert made.bundle.decision.conformal == pytest.approx(decision.conformal, rel=1e-6)


def in_folds(table: Cohort) -> list[Cohort]:
    """Each patient is in test once."""

    def split(patient: int, fold: int) -> Split:
        if patient % MEMBERS == fold:
            return "test"
        return "val" if patient % 6 < 2 else "train"

    return [
        replace(table, cases=tuple(replace(c, split=split(i // 3, k)) for i, c in enumerate(table.cases)))
        for k in range(MEMBERS)
    ]


def test_folds_are_decided_on_the_answers_of_the_member_that_never_saw_the_patient(made: Made, tmp_path: Path) -> None:
    folds = in_folds(made.table)
    bundle, _ = of_folds(made.runs, folds, tmp_path / "bundle")
    settings, prepared = bundle.recipe, made.runs[0].prepared
    parts = [
        measure(engine, fold.of_split("test"), prepared, settings)
        for engine, fold in zip(made.members, folds, strict=True)
    ]
    held_out = Measured(
        np.concatenate([p.logits for p in parts]),
        np.concatenate([p.embeddings for p in parts]),
        tuple(patient for p in parts for patient in p.patients),
        tuple(case for p in parts for case in p.cases),
    )
    assert sorted(held_out.patients) == sorted(c.patient for c in made.table.cases)
    train = measure(Engine(bundle, threads=1), made.table.cases, prepared, settings)
    decision, _ = decide_on(held_out, train, settings)
    assert bundle.decision.temperature == pytest.approx(decision.temperature, rel=1e-6)
    assert bundle.decision.thresholds == pytest.approx(dict(decision.thresholds), rel=1e-6)
    naive, _ = decide_on(train, train, settings)
    assert bundle.decision.thresholds != pytest.approx(dict(naive.thresholds), rel=0.1)
    assert len(bundle.baseline.patients) == len(made.table.cases)
    facts = json.loads((bundle.path / "metrics.json").read_text(encoding="utf-8"))["training"]
    assert facts["start"] == "2 networks averaged: one of each fold"


def test_runs_of_different_recipes_or_sizes_are_no_ensemble(made: Made, tmp_path: Path) -> None:
    first = made.runs[0]
    other = first.recipe.model_copy(update={"train": first.recipe.train.model_copy(update={"lr": 0.5})})
    with pytest.raises(ExportError, match="The 2 runs differ in more than their seed"):
        of_seeds((first, replace(first, recipe=other)), made.table, tmp_path / "bundle")
    prepared = dict(first.prepared)
    prepared["ct"] = replace(prepared["ct"], slices=prepared["ct"].slices[:, :, :8])
    with pytest.raises(ExportError, match="differ in more than their seed"):
        of_seeds((first, replace(first, prepared=prepared)), made.table, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_graph_that_is_not_the_mean_is_refused(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_first(*asked: object) -> tuple[Engine, tuple[bytes, bytes]]:
        return made.members[0], (b"", b"")

    monkeypatch.setattr("insula.export.ensemble.start", of_the_first)
    with pytest.raises(ExportError, match="differs from the trained network"):
        of_seeds(made.runs, made.table, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
