"""A bundle in 8-bit integers: what becomes of the graph, what it costs, and when it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from tests.made_arrays import cohort, recipe
from torch import nn

from insula.bundle.load import load, read_verified
from insula.bundle.types import Bundle
from insula.core.errors import ExportError
from insula.core.types import Cohort
from insula.export import int8, quantise
from insula.export.cost import Cost
from insula.export.finish import decide_on, finish, measure
from insula.export.int8 import to_int8
from insula.infer.engine import Engine
from insula.infer.feed import Feed
from insula.infer.predict import Predictor
from insula.train.fit import fit
from insula.train.run import Run

pytestmark = pytest.mark.train
CHANNELS = (16, 32, 64, 128)
WEIGHTS = (9 * 16, 9 * 16 * 32, 9 * 32 * 64, 64 * 128)
Made = tuple[Run, Cohort, Bundle, Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("int8")
    table = cohort(root, 30)
    run = fit(table, recipe("model.pool=attention"), root / "run", root / "cache")
    bundle, _ = finish(run, table, root / "bundle")
    return run, table, bundle, root


def feeds(count: int, seed: int = 0) -> list[Feed]:
    rng = np.random.default_rng(seed)
    return [
        {"mri": rng.random((1, 4, 1, 32, 32)).astype(np.float32), "mri_mask": np.ones((1, 1, 4), np.float32)}
        for _ in range(count)
    ]


def weights_of(model: bytes) -> dict[str, int]:
    """Element type → bytes of the constants."""
    found: dict[str, int] = {}
    for tensor in onnx.load_from_string(model).graph.initializer:
        name = TensorProto.DataType.Name(tensor.data_type)
        found[name] = found.get(name, 0) + numpy_helper.to_array(tensor).nbytes
    return found


def test_convolutions_become_integers_and_the_answer_and_maps_stay_close(made: Made) -> None:
    bundle = made[2]
    model = quantise.prepared(read_verified(bundle, "model.onnx"))
    head = read_verified(bundle, "head.onnx")
    graph = quantise.quantised(model, feeds(16), reduce_range=False)
    assert len(quantise.convolutions(model)) == 4
    assert weights_of(graph)["INT8"] == sum(WEIGHTS) + sum(CHANNELS)  # one byte a weight, and a zero point a channel
    before, after = Engine.of_graphs(model, head, bundle.recipe, 1), Engine.of_graphs(graph, head, bundle.recipe, 1)
    for feed in feeds(5, 1):
        ours, theirs = before.run(feed), after.run(feed)
        assert np.abs(ours.logits - theirs.logits).max() < 0.1
        assert not np.array_equal(ours.logits, theirs.logits)
        assert np.corrcoef(ours.maps["mri"].ravel(), theirs.maps["mri"].ravel())[0, 1] > 0.99


def test_what_comes_behind_the_last_convolution_stays_in_single_precision(made: Made) -> None:
    model = quantise.prepared(read_verified(made[2], "model.onnx"))
    graph = onnx.load_from_string(quantise.quantised(model, feeds(4))).graph
    integers = {out for node in graph.node if node.op_type == "DequantizeLinear" for out in node.output}
    makers = {out: node.op_type for node in onnx.load_from_string(model).graph.node for out in node.output}
    for node in graph.node:
        if node.op_type in ("Gemm", "MatMul", "Einsum", "Softmax", "ReduceMean"):
            assert not integers & set(node.input), node.name
    assert "Conv" in makers.values()


def test_a_convolution_that_is_kept_has_its_own_weights(made: Made) -> None:
    model = quantise.prepared(read_verified(made[2], "model.onnx"))
    names = quantise.convolutions(model)
    graph = quantise.quantised(model, feeds(4), keep=[names[2]], reduce_range=False)
    assert weights_of(graph)["INT8"] == sum(WEIGHTS) + sum(CHANNELS) - WEIGHTS[2] - CHANNELS[2]
    with pytest.raises(ExportError, match="nothing to quantise"):
        quantise.quantised(model, feeds(4), keep=names)


def test_seven_bits_are_seven_bits(made: Made) -> None:
    model = quantise.prepared(read_verified(made[2], "model.onnx"))
    for reduced, most in ((True, 64), (False, 127)):
        graph = onnx.load_from_string(quantise.quantised(model, feeds(4), reduce_range=reduced))
        values = [numpy_helper.to_array(t) for t in graph.graph.initializer if t.data_type == TensorProto.INT8]
        largest = max(int(np.abs(v.astype(int)).max()) for v in values)
        assert most // 2 < largest <= most


def test_vnni_is_read_from_the_cpu_s_flags(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    for flags, there in (("flags: sse avx2", False), ("flags: avx2 avx512_vnni", True), ("Features: asimddp", True)):
        path.write_text(flags)
        assert quantise.has_vnni(path) is there
    assert not quantise.has_vnni(tmp_path / "none")


def test_the_new_bundle_is_decided_on_its_own_answers_and_says_what_it_costs(made: Made, tmp_path: Path) -> None:
    run, table, bundle, _ = made
    said: list[str] = []
    found, cost = to_int8(bundle, table, run.prepared, tmp_path / "b8", max_loss=1.0, say=said.append)
    again = load(tmp_path / "b8")
    assert again.id == found.id != bundle.id
    told = again.metrics["optimised"]
    assert told["bytes"] == cost.size == (tmp_path / "b8/model.onnx").stat().st_size
    assert told["bytes_before"] > told["bytes"]
    assert (told["kept"], told["convolutions"], told["calibrated_on"]) == ([], 4, 20)
    assert again.provenance["optimised_from"] == bundle.id
    assert "## In 8-bit integers" in (tmp_path / "b8/model-card.md").read_text()
    assert "4 of 4 convolutions in integers" in said[-1]
    engine = Engine(again, 1)
    val = measure(engine, table.of_split("val"), run.prepared, again.recipe)
    assert again.decision.temperature == pytest.approx(decide_on(val, val, again.recipe)[0].temperature)
    case = table.of_split("val")[0]
    one, two = (Predictor(b).case(case, Path(table.root)).probabilities for b in (bundle, again))
    np.testing.assert_allclose(one, two, atol=0.1)
    with pytest.raises(ExportError, match="in integers already"):
        to_int8(again, table, run.prepared, tmp_path / "b88")


def spoilt(run: Run) -> None:
    """Make the first two convolutions unfit for integers: one channel of a thousand that nobody looks at."""
    layers = list(run.network.encoders["mri"].modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    with torch.no_grad():
        norms[0].weight[0], norms[0].bias[0] = 0.0, 1000.0
        convolutions[1].weight[:, 0] = 0.0


def test_what_disturbs_the_answer_stays_in_single_precision(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, table, _, _ = made
    state = {name: tensor.clone() for name, tensor in run.network.state_dict().items()}
    try:
        spoilt(run)
        bundle, _ = finish(run, table, tmp_path / "bundle")
    finally:
        run.network.load_state_dict(state)
    base = int8._start(bundle, table, run.prepared, 20, 1)
    first = set(quantise.convolutions(base.of.model)[:2])
    assert set(int8._order(base, False, lambda text: None)[:2]) == first
    monkeypatch.setattr(Cost, "worst", property(lambda cost: 0.0 if len(cost.facts["kept"]) >= 2 else 1.0))
    found, cost = to_int8(bundle, table, run.prepared, tmp_path / "b8", reduce_range=False)
    assert set(cost.facts["kept"]) == first == set(found.metrics["optimised"]["kept"])
    all_of_them = quantise.quantised(base.of.model, base.feeds, reduce_range=False)
    engines = Engine(found, 1), Engine.of_graphs(all_of_them, base.of.head, bundle.recipe, 1)
    moved, lost = (
        np.mean([np.abs(engine.run(f).logits - base.of.engine.run(f).logits).max() for f in base.feeds])
        for engine in engines
    )
    assert moved < 0.1 * lost


def test_too_great_a_loss_is_refused_and_nothing_is_written(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, table, bundle, _ = made
    monkeypatch.setattr(Cost, "worst", 0.2)
    with pytest.raises(ExportError, match=r"may lose 0\.2000 of ROC-AUC .* with 2 of 4 convolutions"):
        to_int8(bundle, table, run.prepared, tmp_path / "b8")
    assert not (tmp_path / "b8").exists()


def test_another_cohort_is_refused(made: Made, tmp_path: Path) -> None:
    run, table, bundle, _ = made
    nobody = replace(table, cases=table.of_split("val"))
    with pytest.raises(ExportError, match="no prepared case to train"):
        to_int8(bundle, nobody, run.prepared, tmp_path / "b8")
