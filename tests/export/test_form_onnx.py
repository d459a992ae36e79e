"""A bundle as ONNX: the script that travels with it gives the bundle's probabilities, without anything of Insula."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests import tiny_bundle as tiny

from insula.bundle.load import load
from insula.bundle.patients import hash_patient
from insula.bundle.save import save
from insula.bundle.types import Bundle, DecisionFacts
from insula.core.errors import BundleError, ExportError, UsageError
from insula.core.types import FloatArray
from insula.export import forms
from insula.export.alone import predict
from insula.export.forms import write
from insula.infer.predict import Predictor
from insula.metrics.recalibrate import Recalibration

ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("insula", "torch", "onnx", "scipy", "sklearn", "pandas", "pydantic", "yaml"):
            raise ImportError(name + " was imported")
sys.meta_path.insert(0, Refuse())
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def slices(count: int, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).random((count, 1, tiny.SIZE, tiny.SIZE), np.float32)


def alone(*words: str) -> subprocess.CompletedProcess[str]:
    """The script with what is no part of it kept out."""
    command = [sys.executable, "-c", ALONE, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("unit", ["series", "image"])
def test_the_script_gives_the_bundles_probabilities(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, kind: str, unit: str
) -> None:
    bundle = tiny_bundle(kind=kind, unit=unit)
    write(bundle, "onnx", tmp_path / "out")
    for count in (1, 5):
        scan = slices(count, seed=count)
        found = predict.predict(tmp_path / "out", {"ct": [scan]})
        due = Predictor(bundle).from_slices(scan, "x").probabilities
        assert tuple(found) == bundle.recipe.target.classes
        np.testing.assert_allclose(list(found.values()), due, atol=1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("how", ["mean", "max", "noisy_or", "majority", "learned"])
def test_slices_are_pooled_as_the_policy_says(tmp_path: Path, kind: str, how: str) -> None:
    made = tiny.recipe(kind, "image", aggregate=how)
    given = tiny.parts(made, tiny.weights(1, len(made.target.classes)))
    bundle = save(tmp_path / "bundle", replace(given, decision=replace(given.decision, power=3.0)))
    write(bundle, "onnx", tmp_path / "out")
    scan = slices(6)
    found = predict.predict(tmp_path / "out", {"ct": [scan]})
    np.testing.assert_allclose(list(found.values()), Predictor(bundle).from_slices(scan, "x").probabilities, atol=1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("how", ["logistic", "isotonic"])
def test_a_recalibration_travels_too(tmp_path: Path, kind: Any, how: Any) -> None:
    made = tiny.recipe(kind, calibration=how)
    k = len(made.target.classes)
    line = (0.3, 0.6) if how == "logistic" else (0.1, 0.4, 0.8, 0.2, 0.2, 0.7)
    given = tiny.parts(made, tiny.weights(1, k))
    changed = replace(given.decision, recalibration=Recalibration(how, kind, (line,) * k))
    bundle = save(tmp_path / "bundle", replace(given, decision=changed))
    write(bundle, "onnx", tmp_path / "out")
    scan = slices(3)
    found = predict.predict(tmp_path / "out", {"ct": [scan]})
    due = Predictor(bundle).from_slices(scan, "x").probabilities
    np.testing.assert_allclose(list(found.values()), due, atol=1e-6)
    plain = save(tmp_path / "plain", tiny.parts(tiny.recipe(kind), tiny.weights(1, k)))
    assert np.abs(Predictor(plain).from_slices(scan, "x").probabilities - due).max() > 0.01


def test_alone_it_needs_numpy_and_onnx_runtime_and_nothing_else(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    bundle, out = tiny_bundle(), tmp_path / "out"
    write(bundle, "onnx", out)
    np.save(tmp_path / "scan.npy", slices(4))
    checked = alone(str(out / "predict.py"), "--check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("largest difference ")
    said = alone(str(out / "predict.py"), f"ct={tmp_path / 'scan.npy'}")
    assert said.returncode == 0, said.stderr
    due = Predictor(bundle).from_slices(slices(4), "x").probabilities
    np.testing.assert_allclose(list(json.loads(said.stdout).values()), due, atol=1e-6)
    wrong = alone(str(out / "predict.py"), "scan.npy")
    assert wrong.returncode == 2
    assert "python predict.py ct=scan.npy" in wrong.stderr


def test_the_script_answers_no_scan_that_it_cannot_judge(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    write(tiny_bundle(), "onnx", tmp_path / "out")
    script, good = str(tmp_path / "out" / "predict.py"), slices(3)
    bad = {
        "nan": np.full_like(good, np.nan),
        "infinite": np.where(good > 0.9, np.inf, good),
        "large": good.astype(np.float64) * 1e300,
        "rank": good[0],
        "side": good[..., 1:],
        "none": good[:0],
        "words": np.array(["a", "b"]),
        "objects": np.array([{}], dtype=object),
    }
    for name, array in bad.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=name == "objects")
    np.savez(tmp_path / "several.npz", a=good)
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "damaged.npy").write_bytes((tmp_path / "nan.npy").read_bytes()[:200])
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04 no archive")
    said = {
        **dict.fromkeys(("nan.npy", "infinite.npy", "large.npy"), "Scan 1 of 'ct' holds NaN or infinity"),
        **dict.fromkeys(("rank.npy", "side.npy", "none.npy"), "(slices, 1, 16, 16) is due"),
        "words.npy": "no numbers; give float32",
        "several.npz": "holds several arrays",
        **dict.fromkeys(("objects.npy", "empty.npy", "damaged.npy", "zip.npy"), "it holds no array that NumPy wrote"),
        "missing.npy": "(No such file or directory); give a .npy file",
        "": "'' cannot be read",
    }
    for name, why in said.items():
        got = alone(script, f"ct={tmp_path / name if name else ''}")
        assert (got.returncode, got.stdout, got.stderr.count("\n")) == (2, "", 1), (name, got)
        assert why in got.stderr, (name, got.stderr)
    np.save(tmp_path / "good.npy", good)
    unknown = alone(script, f"ct={tmp_path / 'good.npy'}", f"foo={tmp_path / 'good.npy'}")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "There is no input called 'foo'; the model takes ct.\n"


def test_the_script_says_how_it_is_called(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    write(tiny_bundle(), "onnx", tmp_path / "out")
    script = str(tmp_path / "out" / "predict.py")
    nothing, both, helped = alone(script), alone(script, "--check", "ct=scan.npy"), alone(script, "--help")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert both.stderr.startswith("'--check' is not understood: --check stands alone.")
    assert (both.returncode, both.stdout, helped.returncode, helped.stderr) == (2, "", 0, "")
    assert all("python predict.py ct=scan.npy" in said for said in (nothing.stderr, both.stderr, helped.stdout))


def test_its_own_check_would_find_another_answer(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(tiny_bundle(), "onnx", out)
    facts = json.loads((out / "model.json").read_text())
    facts["answer"]["temperature"] = 1.6
    (out / "model.json").write_text(json.dumps(facts))
    assert alone(str(out / "predict.py"), "--check").returncode == 1


def test_model_json_says_what_the_bundle_decided(tmp_path: Path) -> None:
    made = tiny.recipe("multilabel")
    decision = DecisionFacts({"any": 0.2, "subdural": 0.5, "epidural": 0.7}, 1.25, (0.9, 0.8, 1.0))
    bundle = save(tmp_path / "bundle", tiny.parts(made, tiny.weights(1, 3), decision=decision))
    write(bundle, "onnx", tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "model.json").read_text())
    answer = facts["answer"]
    assert answer["classes"] == ["any", "subdural", "epidural"]
    assert answer["thresholds"] == {"any": 0.2, "subdural": 0.5, "epidural": 0.7}
    assert (answer["temperature"], answer["exclusive"], answer["positive"]) == (1.25, False, "any")
    assert answer["conformal"] == {"level": 0.9, "quantiles": {"any": 0.9, "subdural": 0.8, "epidural": 1.0}}
    (ct,) = facts["inputs"]
    assert (ct["role"], ct["shape"], ct["modality"]) == ("ct", ["N", "S", 1, 16, 16], "CT")
    assert [list(step) for step in ct["prepared_by"]] == [["windows"], ["resize"]]
    assert ct["normalised_in_the_graph_by"] == {"mean": [0.5], "std": [0.25]}
    assert facts["bundle"] == bundle.id
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "not a medical device" in readme
    assert all(f"`{name}`" in readme for name in ("model.onnx", "head.onnx", "model.json", "predict.py"))


def test_nothing_of_single_patients_goes_with_it(tmp_path: Path) -> None:
    made = tiny.parts(tiny.recipe(), tiny.weights(1, 2))
    chosen = (hash_patient("00" * 16, "P3"),)
    base = replace(made.baseline, sites=("cd" * 32,), salt="5a17" * 8)
    bundle = save(tmp_path / "bundle", replace(made, baseline=base, decision=replace(made.decision, chosen_on=chosen)))
    write(bundle, "onnx", tmp_path / "out")
    secrets = [*base.patients, *base.files, *base.sites, base.salt, *chosen]
    whole = b"".join(p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file())
    assert [s for s in secrets if s.encode() in whole] == []
    inside = b"".join(p.read_bytes() for p in bundle.path.iterdir())
    assert all(s.encode() in inside for s in secrets)  # the look would find them
    assert not {"baseline.json", "decision.json", "provenance.json"} & {p.name for p in (tmp_path / "out").iterdir()}


def test_what_lies_at_the_goal_is_left_alone(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(UsageError, match=f"{name}' exists already; give --out a new folder"):
            write(bundle, "onnx", tmp_path / name)
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert "model.onnx" in write(bundle, "onnx", tmp_path / "empty")
    assert (tmp_path / "empty" / "model.onnx").is_file()


def test_an_export_that_fails_leaves_nothing(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, before = tiny_bundle(), {p.name for p in tmp_path.iterdir()}
    monkeypatch.setattr(predict, "check", lambda folder: 0.1)
    with pytest.raises(ExportError, match=r"differ from the bundle's by 0\.1"):
        write(bundle, "onnx", tmp_path / "out")
    assert {p.name for p in tmp_path.iterdir()} == before
    with pytest.raises(UsageError, match="known are: monai, onnx, safetensors"):
        write(bundle, "torchscript", tmp_path / "out")


def test_a_bundle_that_was_changed_is_not_written(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    bundle = tiny_bundle()
    data = bytearray((bundle.path / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (bundle.path / "weights.safetensors").write_bytes(data)
    with pytest.raises(BundleError, match="changed or damaged"):
        load(bundle.path)
    with pytest.raises(BundleError, match="changed or damaged"):  # even where it was opened before the change
        write(bundle, "monai", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_table_holds_the_three_forms() -> None:
    assert forms.FORMS.names() == ("monai", "onnx", "safetensors")
    assert all(callable(forms.FORMS.get(name)) for name in forms.FORMS)
