"""Every method of the table on bundles: what it gives is about the network that predicts."""

from __future__ import annotations

import subprocess
import sys
from copy import copy
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save as save_tensors
from tests.explain.fingerprint import fingerprint
from tests.explain.made import bundle, settings, views
from tests.made_fused import SHAPES, network

from insula.bundle.load import load
from insula.cli.explain import explain
from insula.core.errors import BundleError, MissingPartError, UsageError
from insula.core.recipe import Recipe
from insula.explain import methods, rebuild
from insula.explain.rebuild import given, rebuilt
from insula.infer.explainer import Asked, Patch
from insula.infer.predict import Predictor
from insula.train import of_bundle
from insula.train.of_bundle import members

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    return Predictor(load(bundle(tmp_path_factory.mktemp("one")).path), threads=1)


def asked(predictor: Predictor, column: int = 2, **more: Any) -> Asked:
    return Asked(predictor, views(), column, {"age": "60Y", "sex": "F"}, patch=Patch(8, 8), steps=16, **more)


def test_the_rebuilt_network_gives_the_graphs_own_answers(predictor: Predictor) -> None:
    question = asked(predictor)
    graph = predictor.engine.run(question.feed)
    net = rebuilt(predictor, question.feed, graph.logits)
    assert members(net) == (net,)
    with torch.no_grad():
        ours = net.explain(*given(question.feed, predictor.bundle.recipe))
    np.testing.assert_allclose(ours.logits.numpy(), graph.logits, atol=1e-4)
    np.testing.assert_allclose(ours.maps["mri"].numpy(), graph.maps["mri"], atol=1e-4)


def test_an_ensemble_is_rebuilt_member_by_member(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(members=2)
    nets = [network(made, seed) for seed in (5, 6)]
    states = {f"members.{i}.{k}": v.contiguous() for i, net in enumerate(nets) for k, v in net.state_dict().items()}
    monkeypatch.setattr(of_bundle, "read_verified", lambda bundle, name: save_tensors(states))
    found = rebuild._loaded(replace(predictor.bundle, recipe=made), tuple(SHAPES.items()))
    assert len(members(found)) == 2
    question = asked(predictor)
    inputs = given(question.feed, made)
    with torch.no_grad():
        wanted = (nets[0](*inputs) + nets[1](*inputs)) / 2
        torch.testing.assert_close(found.explain(*inputs).logits, wanted, atol=1e-4, rtol=1e-4)
    rebuilt_too = rebuilt(replace_bundle(predictor, made), question.feed, wanted.numpy())
    assert len(members(rebuilt_too)) == 2


def replace_bundle(predictor: Predictor, made: Recipe) -> Predictor:
    """The predictor with another recipe in its bundle."""
    other = copy(predictor)
    other.bundle = replace(predictor.bundle, recipe=made)
    return other


def test_weights_of_another_network_are_refused(predictor: Predictor) -> None:
    question = asked(predictor)
    graph = predictor.engine.run(question.feed)
    with pytest.raises(BundleError, match="another answer than its graph"):
        rebuilt(predictor, question.feed, graph.logits + np.float32(1.0))
    with pytest.raises(BundleError, match="does not fit its recipe"):
        of_bundle._filled(predictor.bundle.recipe, SHAPES, {"heads.score.weight": torch.zeros(2, 2)})


@pytest.mark.parametrize("name", list(methods.METHODS))
def test_each_method_gives_one_finite_map_for_each_scan(predictor: Predictor, name: str) -> None:
    if name == "integrated_gradients":
        pytest.importorskip("captum")
    question = asked(predictor)
    steps: list[tuple[int, int]] = []
    found = methods.method(name)(replace(question, progress=lambda done, total: steps.append((done, total))))
    assert list(found.heatmaps) == ["ct", "ct.2", "mri"]
    sizes = {"ct": 3, "ct.2": 2, "mri": 4}
    for scan, heat in found.heatmaps.items():
        assert heat.array.shape[:2] == (1, sizes[scan])
        assert heat.slices == tuple(range(sizes[scan]))
        assert np.isfinite(heat.array).all()
        assert (heat.array.min() < 0) <= (name in methods.SIGNED)
    assert max(float(heat.array.max()) for heat in found.heatmaps.values()) > 0
    assert sum(float(found.heatmaps[scan].weights.sum()) for scan in ("ct", "ct.2")) == pytest.approx(1.0)
    assert found.unit
    assert name == "class_map" or steps[-1][0] == steps[-1][1] > 0


def test_no_method_changes_the_network(predictor: Predictor) -> None:
    question = asked(predictor)
    net = rebuilt(predictor, question.feed, predictor.engine.run(question.feed).logits)
    before = fingerprint(net)
    for name in methods.METHODS:
        if name == "integrated_gradients" and find_spec("captum") is None:
            continue
        methods.method(name)(question)
    assert fingerprint(net) == before
    again = rebuilt(predictor, question.feed, predictor.engine.run(question.feed).logits)
    assert again is net  # it was this very network that was asked


def test_the_class_map_is_that_of_the_prediction(predictor: Predictor) -> None:
    question = asked(predictor, column=1)
    prediction = predictor.from_slices(question.views, "c", attributes=question.attributes)
    found = methods.method("class_map")(question)
    np.testing.assert_array_equal(found.heatmaps["mri"].array[0], prediction.heatmaps["mri"].array[1])


def test_methods_that_need_pytorch_say_what_to_install() -> None:
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'captum'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from insula.explain.methods import METHODS, method\n"
        "from insula.core.errors import MissingPartError\n"
        "for name in METHODS:\n"
        "    try: method(name); print(name, 'runs')\n"
        "    except MissingPartError as error: print(error)\n"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == len(list(methods.METHODS))
    assert {line for line in lines if line.endswith(" runs")} == {"class_map runs", "occlusion runs"}
    assert sum("pip install 'insula[train]'" in line for line in lines) == 4


def test_captum_alone_missing_and_unknown_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    monkeypatch.delitem(sys.modules, "insula.explain.integrated", raising=False)
    with pytest.raises(MissingPartError, match=r"needs captum.*insula\[train,explain\]"):
        methods.method("integrated_gradients")
    with pytest.raises(UsageError, match="no explainer called 'lime'"):
        methods.method("lime")


def test_the_command_with_two_roles_and_a_further_target(predictor: Predictor, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    np.savez(tmp_path / "ct.npz", array=draw.normal(60, 60, (3, 20, 20)).astype(np.float32), units="HU")
    np.savez(tmp_path / "mri.npz", array=draw.gamma(2.0, 80.0, (4, 20, 20)).astype(np.float32), units="a.u.")
    words = [str(predictor.bundle.path), "--scan", f"ct={tmp_path}/ct.npz", "--scan", f"mri={tmp_path}/mri.npz"]
    out = tmp_path / "out"
    got = CliRunner().invoke(
        explain,
        [*words, "--with", "age=60Y", "--target", "volume", "--method", "grad_cam_pp", "--out", str(out)],
        catch_exceptions=False,
    )
    assert got.exit_code == 0, got.output
    assert "Where the score of 'volume' comes from, by grad_cam_pp:" in got.output
    names = {p.name for p in out.iterdir()}
    assert {"ct-heat-volume.nii.gz", "mri-heat-volume.nii.gz", "slice-weights.csv", "ct-slice-weights.svg"} <= names
    drawn = next(p for p in out.iterdir() if "slice-000" in p.name)
    with Image.open(drawn) as image:
        assert min(image.size) >= 384
    for extra, reason in (
        (["--target", "death", "--class", "x"], "has no classes"),
        (["--target", "nothing"], "has no target 'nothing'"),
        (["--class", "nobody"], "no class 'nobody'"),
        (["--method", "occlusion", "--measure", "probability", "--target", "death"], "has no probability"),
        (["--slices", "1-x"], "is no list of slices"),
        (["--window", "40"], "not of the form CENTRE,WIDTH"),
        (["--colours", "jet"], "no colour map 'jet'"),
    ):
        refused = CliRunner().invoke(explain, [*words, "--out", str(out), *extra])
        assert isinstance(refused.exception, UsageError), refused.output
        assert reason in str(refused.exception)
