"""A tiny but complete bundle: one strided convolution, mean pooling over slices, a linear head, as ONNX by hand.

Its class maps are Grad-CAM in closed form, so every part of inference has something true to work on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from insula.bundle import tensors
from insula.bundle.patients import hash_patient
from insula.bundle.save import save
from insula.bundle.types import Baseline, Bundle, DecisionFacts, Parts
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Volume
from insula.infer.suitable_statistics import width

SIZE = 16
KERNEL = 4
FEATURES = 6
BINARY = ("normal", "stroke")
LABELS = ("any", "subdural", "epidural")


@dataclass(frozen=True, eq=False)
class Weights:
    """filters (E, C, 4, 4), bias (E,), head (K, E), offset (K,)."""

    filters: NDArray[np.float32]
    bias: NDArray[np.float32]
    head: NDArray[np.float32]
    offset: NDArray[np.float32]


def weights(channels: int, classes: int, seed: int = 1) -> Weights:
    """Random weights of a size that gives logits of a few units."""
    g = np.random.default_rng(seed)
    return Weights(
        g.normal(0, 0.6, (FEATURES, channels, KERNEL, KERNEL)).astype(np.float32),
        g.normal(0, 0.1, FEATURES).astype(np.float32),
        g.normal(0, 1.5, (classes, FEATURES)).astype(np.float32),
        g.normal(0, 0.2, classes).astype(np.float32),
    )


def model_graph(w: Weights, role: str = "ct", size: int = SIZE) -> bytes:
    """model.onnx: `<role>` (N, S, C, size, size) and `<role>_mask` (N, B, S), with B = 1, to its outputs."""
    e, c, kernel = w.filters.shape[:3]
    k = len(w.head)
    side = size // kernel
    constants: dict[str, NDArray[Any]] = {
        "filters": w.filters,
        "bias": w.bias,
        "head_t": np.ascontiguousarray(w.head.T),
        "offset": w.offset,
        "flat": np.array([-1, c, size, size], np.int64),
        "tail": np.array([e, side, side], np.int64),
        "two": np.array([2], np.int64),
        "last": np.array([-1], np.int64),
        "space": np.array([3, 4], np.int64),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "cells": np.array(side * side, np.float32),
        "kernel": w.head.reshape(k, e, 1, 1),
    }
    constants["flat_features"] = np.array([-1, e, side, side], np.int64)
    constants["map_tail"] = np.array([k, side, side], np.int64)
    constants["map_weight_tail"] = np.array([2, 3, 4], np.int64)
    n = helper.make_node
    nodes = [
        n("Reshape", [role, "flat"], ["rows"]),
        n("Conv", ["rows", "filters", "bias"], ["conv"], strides=[kernel, kernel]),
        n("Relu", ["conv"], ["features"]),
        n("ReduceMax", [f"{role}_mask", "one"], ["mask"], keepdims=0),
        n("Shape", ["mask"], ["ns"]),
        n("Concat", ["ns", "tail"], ["full"], axis=0),
        n("Reshape", ["features", "full"], ["grid"]),
        n("ReduceMean", ["grid", "space"], ["pooled"], keepdims=0),
        n("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        n("Div", ["mask", "count"], [f"weights_{role}"]),
        n("Unsqueeze", [f"weights_{role}", "last"], ["w3"]),
        n("Mul", ["pooled", "w3"], ["weighted"]),
        n("ReduceSum", ["weighted", "one"], ["embedding"], keepdims=0),
        n("MatMul", ["embedding", "head_t"], ["product"]),
        n("Add", ["product", "offset"], ["logits"]),
        n("Conv", ["features", "kernel"], ["cam"]),
        n("Concat", ["ns", "map_tail"], ["map_full"], axis=0),
        n("Reshape", ["cam", "map_full"], ["cam5"]),
        n("Unsqueeze", [f"weights_{role}", "map_weight_tail"], ["w5"]),
        n("Mul", ["cam5", "w5"], ["cam_weighted"]),
        n("Div", ["cam_weighted", "cells"], ["cam_cell"]),
        n("Relu", ["cam_cell"], ["cam_relu"]),
        n("Transpose", ["cam_relu"], [f"maps_{role}"], perm=[0, 2, 1, 3, 4]),
    ]
    inputs = [_info(role, ["n", "s", c, size, size]), _info(f"{role}_mask", ["n", "b", "s"])]
    outputs = [
        _info("logits", ["n", k]),
        _info("embedding", ["n", e]),
        _info(f"maps_{role}", ["n", k, "s", side, side]),
        _info(f"weights_{role}", ["n", "s"]),
    ]
    return _model(nodes, inputs, outputs, constants)


def head_graph(w: Weights) -> bytes:
    """head.onnx: `embedding` × `keep` through the linear head."""
    nodes = [
        helper.make_node("Mul", ["embedding", "keep"], ["kept"]),
        helper.make_node("MatMul", ["kept", "head_t"], ["product"]),
        helper.make_node("Add", ["product", "offset"], ["logits"]),
    ]
    e, k = w.head.shape[1], w.head.shape[0]
    inputs = [_info("embedding", ["n", e]), _info("keep", ["n", e])]
    constants = {"head_t": np.ascontiguousarray(w.head.T), "offset": w.offset}
    return _model(nodes, inputs, [_info("logits", ["n", k])], constants)


def reference(w: Weights, x: NDArray[np.float32], mask: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What model.onnx must give, in float64 NumPy, by its definition."""
    n, s, c = x.shape[:3]
    side = SIZE // KERNEL
    blocks = x.astype(np.float64).reshape(n, s, c, side, KERNEL, side, KERNEL)
    conv = np.einsum("nscyixj,ecij->nseyx", blocks, w.filters.astype(np.float64)) + w.bias[:, None, None]
    features = np.maximum(conv, 0)
    weight = mask.astype(np.float64) / mask.sum(axis=1, keepdims=True)
    embedding = np.einsum("ns,nse->ne", weight, features.mean(axis=(3, 4)))
    maps = np.einsum("ke,nseyx,ns->nksyx", w.head.astype(np.float64), features, weight) / side**2
    return {
        "logits": embedding @ w.head.T.astype(np.float64) + w.offset,
        "embedding": embedding,
        "maps": np.maximum(maps, 0),
        "slice_weights": weight,
    }


def recipe(kind: str = "multiclass", unit: str = "series", dropout: float = 0.3, **policy: Any) -> Recipe:
    """A CT recipe of one window and 16² pixels; policy keys as in a recipe."""
    classes, primary = (BINARY, "stroke") if kind in ("binary", "multiclass") else (LABELS, "any")
    return recipes.parse(
        {
            "name": "tiny-ct",
            "question": "Does this tiny CT show anything?",
            "seed": 7,
            "inputs": {"ct": {"modality": "CT", "unit": unit, "prep": [{"windows": [[40, 80]]}, {"resize": SIZE}]}},
            "targets": {
                "answer": {
                    "kind": kind,
                    "classes": list(classes),
                    "primary": primary,
                }
            },
            "model": {"encoder": "simple_cnn", "dropout": dropout},
            "policy": {"passes": 12, **policy},
        },
        "tiny",
    )


def parts(recipe: Recipe, w: Weights, **changes: Any) -> Parts:
    """All parts of the tiny bundle; keyword arguments replace single ones."""
    k = len(recipe.target.classes)
    salt = "00" * 16
    baseline = Baseline(
        patients=tuple(hash_patient(salt, p) for p in ("P1", "P2")),
        files=("ab" * 32,),
        salt=salt,
        split_level="patient",
        patient_ids=True,
        class_counts=dict.fromkeys(recipe.target.classes, 5),
        embedding_mean=np.full(FEATURES, 0.5),
        embedding_precision=np.eye(FEATURES),
        distances=np.linspace(0.1, 4.0, 40),
        pixel_mean=0.4,
        pixel_std=0.2,
    )
    made = Parts(
        recipe=recipe,
        model_onnx=model_graph(w, recipe.role),
        head_onnx=head_graph(w),
        weights=tensors.write({"filters": w.filters, "head": w.head}),
        decision=DecisionFacts(dict.fromkeys(recipe.target.classes, 0.5), 1.5, (0.9,) * k),
        baseline=baseline,
        metrics={"validation": {"auroc": 0.9, "n": 10}},
        model_card="# tiny\n\nResearch use only.\n",
        provenance={"made": "by hand"},
    )
    return replace(made, **changes)


def rejecting(made: Parts) -> Parts:
    """The same bundle, trained on scans so alike that every scan lies too far from them."""
    baseline = replace(
        made.baseline,
        neighbours=np.ones((5, FEATURES), np.float16),
        pictures={made.recipe.role: (np.zeros(width(1)), np.eye(width(1)))},
        scale=np.tile([0.0, 1e-3], (4, 1)),
        scaled=np.linspace(0.0, 1.0, 5),
    )
    return replace(made, baseline=baseline)


def make(folder: Path, kind: str = "multiclass", unit: str = "series", dropout: float = 0.3, **policy: Any) -> Bundle:
    """Save a tiny bundle under folder/bundle."""
    made = recipe(kind, unit, dropout, **policy)
    return save(folder / "bundle", parts(made, weights(1, len(made.target.classes))))


def volume(slices: int = 3, seed: int = 0, size: int = 24) -> Volume:
    """A CT of noise around 40 HU."""
    g = np.random.default_rng(seed)
    array = g.normal(40, 25, (1, slices, size, size)).astype(np.float32)
    return Volume(array, np.diag([1.0, 1.0, 3.0, 1.0]), "HU", "CT", "made")


def _info(name: str, shape: list[int | str]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, NDArray[Any]]) -> bytes:
    initialisers = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
