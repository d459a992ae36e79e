"""Which provider runs: by availability or by INSULA_PROVIDERS, past those that do not start, held against the CPU."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import structlog
from tests.tiny_bundle import head_graph, model_graph, recipe, weights

from insula.bundle.types import Bundle
from insula.core import cores
from insula.core.errors import BundleError, MissingPartError, UsageError
from insula.core.recipe import ClinicalColumn
from insula.infer import providers
from insula.infer.engine import Engine

W = weights(3, 2)
MODEL, HEAD, RECIPE = model_graph(W), head_graph(W), recipe()
REAL = onnxruntime.InferenceSession
Change = Callable[[str, Any], Any]


class Made:
    """A runtime with more providers than are here: each is the CPU under another name, or does not start.

    raises, silent: providers whose start is an error, or that ONNX Runtime leaves out without one. change: what the
    others do to each output.
    """

    def __init__(self, patch: pytest.MonkeyPatch, names: Sequence[str], **how: Any) -> None:
        self.raises, self.silent = how.get("raises", ()), how.get("silent", ())
        self.change: Change = how.get("change", lambda name, array: array)
        self.asked: list[list[tuple[str, dict[str, str]]]] = []
        self.options: list[onnxruntime.SessionOptions] = []
        self.fallbacks: list[int] = []
        patch.setattr(onnxruntime, "get_available_providers", lambda: [*names, "CPUExecutionProvider"])
        patch.setattr(onnxruntime, "InferenceSession", self.session)

    def session(
        self,
        data: bytes,
        options: onnxruntime.SessionOptions,
        providers: list[tuple[str, dict[str, str]]],
        enable_fallback: int,
    ) -> Any:
        self.asked.append(providers)
        self.options.append(options)
        self.fallbacks.append(enable_fallback)
        names = [name for name, _ in providers]
        if names[0] in self.raises:
            raise RuntimeError("no device")
        left = [name for name in names if name not in self.silent]
        return _Session(REAL(data, options, providers=["CPUExecutionProvider"]), left, self.change)


class _Session:
    def __init__(self, real: Any, names: list[str], change: Change) -> None:
        self.real, self.names, self.change = real, names or ["CPUExecutionProvider"], change

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_providers(self) -> list[str]:
        return self.names

    def run(self, outputs: list[str], feed: Mapping[str, Any]) -> list[Any]:
        found = self.real.run(outputs, feed)
        if self.names[0] == "CPUExecutionProvider":
            return list(found)
        return [self.change(name, array) for name, array in zip(outputs, found, strict=True)]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("INSULA_PROVIDERS", raising=False)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "left to the test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def engine() -> Engine:
    return Engine.of_graphs(MODEL, HEAD, RECIPE, threads=1)


TRT, CUDA, OV, COREML, CPU = (providers.RUNTIME[n] for n in ("tensorrt", "cuda", "openvino", "coreml", "cpu"))


@pytest.mark.parametrize(
    ("installed", "first"),
    [
        ((), CPU),
        ((OV,), OV),
        ((COREML,), COREML),
        ((CUDA, OV), CUDA),
        ((OV, CUDA, TRT), TRT),
        (("AzureExecutionProvider",), CPU),
    ],
    ids=str,
)
def test_the_first_that_is_installed_is_taken(
    monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...], first: str
) -> None:
    Made(monkeypatch, installed)
    made = engine()
    assert made.provider == first
    assert made.available[0] == first
    assert set(made.available) == {CPU, *installed} - {"AzureExecutionProvider"}
    assert made.difference == (None if first == CPU else 0.0)


def test_each_is_asked_for_single_precision(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    made = Made(monkeypatch, [TRT, CUDA, OV, COREML])
    engine()
    asked = dict(made.asked[0])
    assert list(asked) == [TRT, CUDA, OV, COREML, CPU]
    assert asked[CUDA] == {"use_tf32": "0"}
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    assert asked[OV]["device_type"] == "CPU"
    config = json.loads(asked[OV]["load_config"])["CPU"]
    assert (config["INFERENCE_PRECISION_HINT"], config["INFERENCE_NUM_THREADS"]) == ("f32", "1")
    assert asked[COREML]["MLComputeUnits"] == "CPUAndGPU"
    assert (asked[TRT]["trt_fp16_enable"], asked[TRT]["trt_int8_enable"]) == ("0", "0")
    folder = Path(asked[TRT]["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "cache" / "insula")
    assert set(made.fallbacks) == {0}  # ONNX Runtime's own fallback is never on


def test_two_graphs_never_share_what_tensorrt_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, [TRT])
    engine()
    Engine.of_graphs(model_graph(weights(3, 2, seed=9)), HEAD, RECIPE, threads=1)
    folders = {dict(asked)[TRT]["trt_engine_cache_path"] for asked in made.asked if asked[0][0] == TRT}
    assert len(folders) == 2


def test_without_a_writable_cache_tensorrt_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder would be")
    made = Made(monkeypatch, [TRT])
    assert engine().provider == TRT
    assert "trt_engine_cache_enable" not in dict(made.asked[0])[TRT]


@pytest.mark.parametrize("how", ["raises", "silent"])
def test_one_that_does_not_start_is_passed_over_and_said(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    Made(monkeypatch, [TRT, CUDA], **{how: (TRT,)})
    with structlog.testing.capture_logs() as logs:
        made = engine()
    assert made.provider == CUDA
    said = [line for line in logs if line["event"] == "provider does not start"]
    assert [(line["provider"], line["instead"]) for line in said] == [("tensorrt", "cuda")]


@pytest.mark.parametrize("how", ["raises", "silent"])
def test_in_the_end_the_cpu_runs(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    Made(monkeypatch, [TRT, CUDA, COREML], **{how: (TRT, CUDA, COREML)})
    made = engine()
    assert (made.provider, made.difference) == (CPU, None)
    assert made.available == (TRT, CUDA, COREML, CPU)


def test_a_device_that_is_missing_gives_way_to_the_same_provider_on_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made(monkeypatch, [OV])
    start = made.session

    def session(data: bytes, options: object, providers: Any, enable_fallback: int) -> Any:
        made.silent = (OV,) if providers[0][1].get("device_type") == "GPU" else ()
        return start(data, options, providers, enable_fallback)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setenv("INSULA_PROVIDERS", "openvino-gpu,openvino,cpu")
    assert engine().provider == OV
    assert [dict(asked)[OV]["device_type"] for asked in made.asked if asked[0][0] == OV][:2] == ["GPU", "CPU"]


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("cpu", ["cpu"]),
        (" OpenVINO , cuda,cpu,", ["openvino", "cuda", "cpu"]),
        ("cuda,cuda", ["cuda"]),
        ("", ["cuda", "openvino", "cpu"]),
        (" , ", ["cuda", "openvino", "cpu"]),
    ],
)
def test_the_variable_names_them_in_order(monkeypatch: pytest.MonkeyPatch, text: str, order: list[str]) -> None:
    Made(monkeypatch, [CUDA, OV])
    monkeypatch.setenv("INSULA_PROVIDERS", text)
    assert list(providers.wanted()) == order
    assert engine().provider == providers.RUNTIME[order[0]]


def test_a_name_that_is_none_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PROVIDERS", "cpu,gpu")
    with pytest.raises(UsageError, match=r"names 'gpu', and the providers are tensorrt, cuda"):
        engine()
    monkeypatch.setenv("INSULA_PROVIDERS", "cuda,cpu")
    with pytest.raises(MissingPartError, match=r"names 'cuda', and ONNX Runtime \S+ here has cpu;"):
        engine()


@pytest.mark.parametrize("how", ["raises", "silent"])
def test_what_was_asked_for_alone_and_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    Made(monkeypatch, [CUDA], **{how: (CUDA,)})
    monkeypatch.setenv("INSULA_PROVIDERS", "cuda")
    with pytest.raises(UsageError, match="asks for cuda, and none of them starts here"):
        engine()


def test_a_graph_that_no_provider_takes_is_the_bundles_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PROVIDERS", "cpu")
    with pytest.raises(BundleError, match=r"graph 'model\.onnx' cannot be run"):
        Engine.of_graphs(b"no graph", HEAD, RECIPE)


def test_a_provider_that_rounds_is_used_and_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    Made(monkeypatch, [CUDA], change=lambda name, array: array * np.float32(1.0 + 1e-4))
    made = engine()
    assert made.provider == CUDA
    assert made.difference == pytest.approx(1e-4, rel=1e-2)


def _one_wrong(name: str, array: Any) -> Any:
    if name == "maps_ct":
        array = array.copy()
        array[1, 0, 0, 0, 0] += 0.01 * array.max()
    return array


def _unfinite(name: str, array: Any) -> Any:
    return np.full_like(array, np.nan) if name == "embedding" else array


def _fails(name: str, array: Any) -> Any:
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("change", [_one_wrong, _unfinite, _fails])
def test_a_provider_that_computes_something_else_gives_way_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    Made(monkeypatch, [CUDA], change=change)
    with structlog.testing.capture_logs() as logs:
        made = engine()
    assert (made.provider, made.difference) == (CPU, None)
    said = [line for line in logs if line["event"] == "provider computes something else"]
    assert [(line["provider"], line["instead"], line["log_level"]) for line in said] == [("cuda", "cpu", "warning")]
    x = np.random.default_rng(0).random((1, 2, 3, 16, 16), np.float32)
    feed = {"ct": x, "ct_mask": np.ones((1, 1, 2), np.float32)}
    right = REAL(MODEL, providers=["CPUExecutionProvider"]).run(["logits", "maps_ct"], feed)
    out = made.run(feed)
    np.testing.assert_array_equal(out.logits, right[0])
    np.testing.assert_array_equal(out.maps["ct"], right[1])

    monkeypatch.setenv("INSULA_PROVIDERS", "cuda")
    with pytest.raises(UsageError, match="'cuda' differs from the CPU by"):
        engine()


def test_a_difference_where_the_cpu_gives_next_to_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    Made(monkeypatch, [CUDA], change=lambda name, array: array + np.float32(1e-8) if name == "weights_ct" else array)
    made = engine()
    assert made.provider == CUDA
    assert made.difference is not None
    assert 0 < made.difference < 1e-6


def test_the_made_input_has_a_missing_slice_and_missing_columns(tiny_bundle: Callable[..., Bundle]) -> None:
    made = Engine(tiny_bundle(), threads=1)
    made.clinical = ClinicalColumn().width
    feed = made._made_input()
    assert feed["ct_mask"].tolist() == [[[1, 1, 1]], [[1, 1, 0]]]
    assert np.isnan(feed["clinical"]).tolist() == [[False] * made.clinical, [True] * made.clinical]
    assert feed["ct"].shape == (2, 3, 1, 16, 16)


@pytest.mark.parametrize(
    ("threads", "usable", "count", "spinning"),
    [(None, 8, 0, "1"), (None, 2, 2, "1"), (2, 2, 2, "1"), (1, 8, 1, "1"), (4, 2, 4, "0"), (2, 1, 2, "0")],
)
def test_threads_spin_within_a_run_where_each_has_a_core(
    threads: int | None, usable: int, count: int, spinning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Made(monkeypatch, ())
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(cores, "usable", lambda: usable)
    for asked in (True, False):
        providers.start(MODEL, "model.onnx", ("cpu",), threads, asked)
        options = made.options[-1]
        assert options.intra_op_num_threads == count
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == (spinning if asked else "0")
        assert options.get_session_config_entry("session.force_spinning_stop") == "1"
