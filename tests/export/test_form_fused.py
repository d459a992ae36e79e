"""A bundle of two roles with clinical columns as ONNX and as PyTorch weights."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tests.explain.made import bundle, views
from tests.made_fused import SHAPES, TARGETS, network
from tests.made_fused import recipe as recipe_of
from tests.tiny_bundle import parts, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core.errors import BundleError, ExportError
from insula.core.types import FloatArray
from insula.export.alone import load, predict
from insula.export.forms import write
from insula.export.onnx import head_graph, model_graph
from insula.infer.predict import Predictor
from insula.model.ensemble import Ensemble

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(tmp_path_factory.mktemp("made"))


@pytest.mark.parametrize(("ct", "mri"), [((3,), (4,)), ((3, 2), (4,)), ((), (2, 1, 3)), ((1,), ())], ids=str)
def test_the_script_takes_series_roles_and_clinical_columns(
    made: Bundle, tmp_path: Path, ct: tuple[int, ...], mri: tuple[int, ...]
) -> None:
    write(made, "onnx", tmp_path / "out")
    given = views(ct, mri)
    due = Predictor(made).from_slices(given, "x", attributes={"age": "60Y", "sex": "F"}).probabilities
    found = predict.predict(tmp_path / "out", given, [60.0, 1.0, 0.0])
    np.testing.assert_allclose(list(found.values()), due, atol=1e-5)
    unknown = Predictor(made).from_slices(given, "x").probabilities
    np.testing.assert_allclose(list(predict.predict(tmp_path / "out", given).values()), unknown, atol=1e-5)
    assert np.abs(due - unknown).max() > 1e-3


def test_a_role_may_be_left_out_and_not_all_of_them(made: Bundle, tmp_path: Path) -> None:
    write(made, "onnx", tmp_path / "out")
    (scan,) = views((2,), ())["ct"]
    assert predict.predict(tmp_path / "out", {"ct": [scan], "mri": []})
    nothing: list[dict[str, list[FloatArray]]] = [{}, {"ct": [], "mri": []}]
    for given in nothing:
        with pytest.raises(ValueError, match="There is no scan; give at least one of ct, mri"):
            predict.predict(tmp_path / "out", given)


def test_model_json_names_columns_of_all_targets_and_clinical_numbers(made: Bundle, tmp_path: Path) -> None:
    write(made, "onnx", tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    assert {name: t["columns"] for name, t in facts["targets"].items()} == {
        "tumour": [0, 3], "stage": [3, 7], "death": [7, 8], "volume": [8, 9],
    }  # fmt: skip
    assert [(c["column"], c["number"]) for c in facts["clinical"]] == [
        ("age", "as it is"), ("sex", "F"), ("sex", "M"),
    ]  # fmt: skip
    assert "`stage`, `death`, `volume`" in (tmp_path / "out" / "README.md").read_text()


def test_the_weights_make_a_module_that_gives_the_graphs_answers(made: Bundle, tmp_path: Path) -> None:
    written = write(made, "safetensors", tmp_path / "out")
    assert {"weights.safetensors", "recipe.yaml", "model.json", "load.py", "README.md"} <= set(written)
    assert not [name for name in written if name.endswith((".pt", ".pth", ".ts", ".pkl"))]
    assert (tmp_path / "out" / "load.py").read_text() == Path(str(load.__file__)).read_text()
    module = load.network(tmp_path / "out")
    assert isinstance(module, torch.nn.Module)
    assert not module.training
    tensors = load_tensors((tmp_path / "out" / "weights.safetensors").read_bytes())
    assert set(tensors) == set(module.state_dict())
    assert load.check(tmp_path / "out") < 1e-4


def test_the_script_of_the_weights_tells_what_it_was_given_from_what_it_finds(made: Bundle, tmp_path: Path) -> None:
    write(made, "safetensors", tmp_path / "out")

    def call(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, str(tmp_path / "out" / "load.py"), *words]
        got = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return got.returncode, got.stdout, got.stderr

    assert call()[0] == 0
    code, said, wrong = call("ct=scan.npy")
    assert (code, said) == (2, "")
    assert wrong.startswith("load.py takes nothing, and it was given 'ct=scan.npy'.")
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    facts["check"]["logits"][0][0] += 1.0
    (tmp_path / "out" / "model.json").write_text(json.dumps(facts))
    assert call()[0] == 1
    (tmp_path / "out" / "weights.safetensors").unlink()
    code, said, wrong = call()
    assert (code, said, wrong.count("\n")) == (2, "", 1)
    assert "export the model again" in wrong


def test_nothing_of_single_patients_goes_with_the_weights(made: Bundle, tmp_path: Path) -> None:
    write(made, "safetensors", tmp_path / "out")
    whole = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    base = made.baseline
    assert [s for s in (*base.patients, *base.files, base.salt) if s.encode() in whole] == []


def test_an_ensemble_is_loaded_member_by_member(tmp_path: Path) -> None:
    recipe = recipe_of(("ct",), False, {"tumour": TARGETS["tumour"]}, members=2, dropout=0.3)
    shapes = {"ct": SHAPES["ct"]}
    nets = [network(recipe, seed) for seed in (5, 6)]
    both = Ensemble(nets).eval()
    states = {f"members.{i}.{k}": v.contiguous() for i, net in enumerate(nets) for k, v in net.state_dict().items()}
    found = parts(
        recipe,
        weights(2, 3),
        model_onnx=model_graph(both, shapes),
        head_onnx=head_graph(both),
        weights=save_tensors(states),
    )
    size = both.heads.in_features
    base = replace(found.baseline, embedding_mean=np.zeros(size), embedding_precision=np.eye(size))
    write(save(tmp_path / "bundle", replace(found, baseline=base)), "safetensors", tmp_path / "out")
    module = load.network(tmp_path / "out")
    assert isinstance(module, Ensemble)
    assert len(module.members) == 2
    assert "`members.0.` to `members.1.`" in (tmp_path / "out" / "README.md").read_text()


def test_weights_that_are_not_the_graphs_are_refused(made: Bundle, tmp_path: Path) -> None:
    tensors = load_tensors((made.path / "weights.safetensors").read_bytes())
    recipe = made.recipe
    found = parts(
        recipe,
        weights(1, 3),
        model_onnx=(made.path / "model.onnx").read_bytes(),
        head_onnx=(made.path / "head.onnx").read_bytes(),
        weights=save_tensors({k: v * 1.05 if v.is_floating_point() else v for k, v in tensors.items()}),
        decision=made.decision,
    )
    base = replace(found.baseline, embedding_mean=np.zeros(24), embedding_precision=np.eye(24))
    other = save(tmp_path / "bundle", replace(found, baseline=base))
    with pytest.raises(ExportError, match="weights give another answer than its graph"):
        write(other, "safetensors", tmp_path / "out")
    none = save(tmp_path / "bundle", replace(found, baseline=base, weights=save_tensors({"x": torch.zeros(2)})))
    with pytest.raises(BundleError, match="does not fit its recipe"):
        write(none, "safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()
