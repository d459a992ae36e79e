"""Weights drawn anew: which, in what order, and that nothing else is touched."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.explain.fingerprint import fingerprint
from tests.explain.made import settings, views
from tests.made_fused import SHAPES, TARGETS, given, network, recipe, values

from insula.core.errors import UsageError
from insula.explain import randomised
from insula.explain.randomised import ALL, Randomised, class_maps, redrawn, stages
from insula.explain.rebuild import Given
from insula.explain.rebuild import given as as_tensors
from insula.infer.engine import Outputs
from insula.infer.explainer import Asked, class_map
from insula.infer.feed import Feed
from insula.infer.predict import Predictor
from insula.metrics import maps
from insula.model.ensemble import Ensemble
from insula.model.network import Network

pytestmark = pytest.mark.train


class Graph:
    """A network in the place of its graph, so that none has to be exported."""

    def __init__(self, net: Network) -> None:
        self.net, self.input_shapes, self.provider = net, SHAPES, "none"

    def run(self, feed: Feed) -> Outputs:
        with torch.no_grad():
            found = self.net.explain(*as_tensors(feed, settings()))
        maps_of, weights = ({r: t.numpy() for r, t in part.items()} for part in (found.maps, found.slice_weights))
        return Outputs(found.logits.numpy(), found.embedding.numpy(), maps_of, weights)


@pytest.fixture
def net() -> Network:
    return network(settings())


@pytest.fixture
def asked(net: Network, monkeypatch: pytest.MonkeyPatch) -> Asked:
    predictor = Predictor.__new__(Predictor)
    predictor.bundle = SimpleNamespace(id="made", recipe=settings())  # type: ignore[assignment]
    predictor.engine = Graph(net)  # type: ignore[assignment]
    monkeypatch.setattr(randomised, "rebuilt", lambda predictor, feed, logits: net)
    return Asked(predictor, views(), 2, {"age": "50", "sex": "F"})


def test_every_weight_belongs_to_one_stage_and_the_heads_come_first() -> None:
    net = network(settings())
    found = stages(net)
    names = [name for _, own in found for name in own]
    assert sorted(names) == sorted(name for name, _ in net.named_parameters())
    assert [said for said, _ in found] == [
        "heads", "fusion", "pooling", *(f"encoder, block {i} of 4" for i in (4, 3, 2, 1)),
    ]  # fmt: skip
    last = dict(found)["encoder, block 1 of 4"]
    assert {name.split(".")[1] for name in last} == {"ct", "mri"}
    assert all(".layers.0." in name or ".layers.1." in name for name in last)


def test_a_resnet_is_cut_as_its_stages_are() -> None:
    net = Network(recipe(("ct",), False, TARGETS, encoder="resnet18", pool="attention"), SHAPES)
    found = stages(net)
    assert [said for said, _ in found] == ["heads", "pooling", *(f"encoder, block {i} of 5" for i in (5, 4, 3, 2, 1))]
    assert sorted(n for _, own in found for n in own) == sorted(n for n, _ in net.named_parameters())


def test_what_is_drawn_is_what_a_new_network_has_and_the_old_one_stays() -> None:
    net = network(settings())
    before, global_state = values(net), torch.random.get_rng_state()
    one, same, other = (redrawn(net, seed) for seed in (0, 0, 1))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert all(torch.equal(one[k], same[k]) for k in one)
    for name, _ in net.named_parameters():
        if one[name].ndim > 1:
            assert not torch.equal(one[name], before[name]), name
            assert not torch.equal(one[name], other[name]), name
    fresh = Network(settings(), SHAPES)
    for name in ("encoders.ct.layers.4.weight", "heads.score.weight"):
        assert float(one[name].std()) == pytest.approx(float(fresh.state_dict()[name].std()), rel=0.15)
    assert float(one["encoders.ct.layers.1.running_mean"].abs().max()) == 0.0
    assert torch.equal(one["encoders.ct.layers.1.weight"], torch.ones(16))
    assert torch.equal(one["mean_ct"], before["mean_ct"])  # normalisation is no weight


def test_the_maps_of_the_network_itself_are_those_of_the_graph(asked: Asked, net: Network) -> None:
    found = class_maps(net, as_tensors(asked.feed, settings()), asked.column)
    wanted = class_map(asked).heatmaps
    for role in ("ct", "mri"):
        scans = [wanted[name].array[0] for name in wanted if name.partition(".")[0] == role]
        assert found[role][0].numpy() == pytest.approx(np.concatenate(scans), abs=1e-6)


def test_the_cascade_ends_at_the_first_whole_network_and_the_bundles_own_stays(asked: Asked, net: Network) -> None:
    before = fingerprint(net)
    judge = Randomised("class_map", draws=2)
    found = judge.maps(asked)
    assert fingerprint(net) == before
    assert list(found) == [*(name for name, _ in stages(network(settings()))), f"{ALL} 1", f"{ALL} 2"]
    ends = [found[name] for name in ("encoder, block 1 of 4", f"{ALL} 1", f"{ALL} 2")]
    for scan in ends[0]:
        assert ends[0][scan].array == pytest.approx(ends[1][scan].array, abs=1e-7)
        assert not np.allclose(ends[1][scan].array, ends[2][scan].array)
    again = judge.maps(asked)
    assert all(np.array_equal(again[n][s].array, found[n][s].array) for n in found for s in found[n])
    assert set(ends[0]) == {"ct", "ct.2", "mri"}


def test_whole_networks_have_little_in_common_with_the_real_maps(asked: Asked) -> None:
    real = class_map(asked).heatmaps
    judge = Randomised("class_map", draws=6, seed=3)
    found = judge.maps(asked)
    alike = [maps.similarity(real["ct"].array, found[name]["ct"].array) for name in found if name.startswith(ALL)]
    known = [a for a in alike if np.isfinite(a)]
    assert len(known) >= 3
    assert abs(np.mean(known)) < 0.6


def test_only_the_heads_drawn_anew_leave_the_features(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing drawn at all the maps are the real ones: the cascade changes what it says and nothing else."""
    monkeypatch.setattr(randomised, "redrawn", lambda net, seed: {k: v.clone() for k, v in net.state_dict().items()})
    real = class_map(asked).heatmaps
    for name, found in Randomised("class_map", draws=1).maps(asked).items():
        for scan, heat in found.items():
            assert heat.array == pytest.approx(real[scan].array, abs=1e-4), name


def test_members_of_an_ensemble_are_drawn_one_by_one() -> None:
    nets = [network(settings(), seed) for seed in (5, 6)]
    inputs = Given(*given(settings(), {"ct": [[2]], "mri": [[1]]}))
    both = class_maps(Ensemble(nets), inputs, 1)
    each = [class_maps(net, inputs, 1) for net in nets]
    assert both["ct"] == pytest.approx(torch.stack([e["ct"] for e in each]).mean(0))
    assert not torch.equal(redrawn(nets[0], 0)["heads.score.weight"], redrawn(nets[1], 1)["heads.score.weight"])


@pytest.mark.parametrize("method", ["grad_cam_pp", "guided_backprop", "integrated_gradients"])
def test_every_method_that_looks_into_the_network_can_be_asked(asked: Asked, method: str) -> None:
    if method == "integrated_gradients":
        pytest.importorskip("captum.attr")
    found = Randomised(method, draws=1).maps(asked)
    assert np.isfinite(found[f"{ALL} 1"]["ct"].array).all()
    assert found["heads"]["mri"].array.shape[1] == 4


def test_a_method_of_the_graph_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="runs the bundle's graph"):
        Randomised("occlusion")
