"""A bundle of two roles and clinical columns, its graph by hand: each role pooled by its mean, all into one head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tests.tiny_bundle import FEATURES, KERNEL, SIZE, Weights, head_graph, parts, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.core.recipe import Recipe

CHANNELS = {"ct": 1, "mri": 1}
CLINICAL = 3  # age, and sex as one number for each of its values
WIDTH = FEATURES * len(CHANNELS) + CLINICAL


def recipe() -> Recipe:
    return recipes.parse(
        {
            "name": "two-roles",
            "question": "What does this made head show?",
            "inputs": {
                "ct": {"modality": "CT", "prep": [{"windows": [[40, 80]]}, {"resize": SIZE}]},
                "mri": {"modality": "MR", "prep": [{"percentile": [0, 100]}, {"resize": SIZE}]},
            },
            "clinical": {"age": {}, "sex": {"kind": "category", "values": ["F", "M"]}},
            "targets": {"tumour": {"kind": "multiclass", "classes": ["healthy", "benign", "malignant"]}
                        | {"primary": "malignant"}},
            "model": {"encoder": "simple_cnn", "dropout": 0.3},
        },
        "made",
    )  # fmt: skip


def bundle(folder: Path) -> Bundle:
    """Save it under folder/bundle."""
    made, draw = recipe(), np.random.default_rng(3)
    k = len(made.target.classes)
    own = {role: weights(channels, k, seed) for seed, (role, channels) in enumerate(CHANNELS.items())}
    whole = np.concatenate([*(w.head for w in own.values()), draw.normal(0, 0.02, (k, CLINICAL))], axis=1)
    whole = whole.astype(np.float32)
    head = head_graph(Weights(own["ct"].filters, own["ct"].bias, whole, own["ct"].offset))
    found = parts(made, own["ct"], model_onnx=_graph(own, whole, own["ct"].offset), head_onnx=head)
    base = replace(found.baseline, embedding_mean=np.zeros(WIDTH), embedding_precision=np.eye(WIDTH))
    return save(folder / "bundle", replace(found, baseline=base))


def _graph(own: dict[str, Weights], head: NDArray[np.float32], offset: NDArray[np.float32]) -> bytes:
    n, k, side = helper.make_node, len(head), SIZE // KERNEL
    constants: dict[str, NDArray[Any]] = {
        "head_t": np.ascontiguousarray(head.T),
        "offset": offset,
        "axis1": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "space": np.array([3, 4], np.int64),
        "after": np.array([2, 3, 4], np.int64),
        "least": np.array(1.0, np.float32),
        "nothing": np.array(0.0, np.float32),
        "tail": np.array([FEATURES, side, side], np.int64),
        "map_tail": np.array([k, side, side], np.int64),
    }
    nodes, inputs, outputs = [], [], []
    for number, (role, w) in enumerate(own.items()):
        c = w.filters.shape[1]
        part = head[:, number * FEATURES : (number + 1) * FEATURES]
        constants |= {f"{role}.f": w.filters, f"{role}.b": w.bias, f"{role}.k": part.reshape(k, FEATURES, 1, 1)}
        constants[f"{role}.flat"] = np.array([-1, c, SIZE, SIZE], np.int64)
        nodes += [
            n("Reshape", [role, f"{role}.flat"], [f"{role}.rows"]),
            n("Conv", [f"{role}.rows", f"{role}.f", f"{role}.b"], [f"{role}.conv"], strides=[KERNEL, KERNEL]),
            n("Relu", [f"{role}.conv"], [f"{role}.features"]),
            n("ReduceMax", [f"{role}_mask", "axis1"], [f"{role}.mask"], keepdims=0),
            n("Shape", [f"{role}.mask"], [f"{role}.ns"]),
            n("Concat", [f"{role}.ns", "tail"], [f"{role}.full"], axis=0),
            n("Reshape", [f"{role}.features", f"{role}.full"], [f"{role}.grid"]),
            n("ReduceMean", [f"{role}.grid", "space"], [f"{role}.pooled"], keepdims=0),
            n("ReduceSum", [f"{role}.mask", "axis1"], [f"{role}.sum"], keepdims=1),
            n("Max", [f"{role}.sum", "least"], [f"{role}.count"]),
            n("Div", [f"{role}.mask", f"{role}.count"], [f"weights_{role}"]),
            n("Unsqueeze", [f"weights_{role}", "last"], [f"{role}.w3"]),
            n("Mul", [f"{role}.pooled", f"{role}.w3"], [f"{role}.weighted"]),
            n("ReduceSum", [f"{role}.weighted", "axis1"], [f"{role}.embedding"], keepdims=0),
            n("Conv", [f"{role}.features", f"{role}.k"], [f"{role}.cam"]),
            n("Concat", [f"{role}.ns", "map_tail"], [f"{role}.map_full"], axis=0),
            n("Reshape", [f"{role}.cam", f"{role}.map_full"], [f"{role}.cam5"]),
            n("Unsqueeze", [f"weights_{role}", "after"], [f"{role}.w5"]),
            n("Mul", [f"{role}.cam5", f"{role}.w5"], [f"{role}.heat"]),
            n("Transpose", [f"{role}.heat"], [f"maps_{role}"], perm=[0, 2, 1, 3, 4]),
        ]
        inputs += [
            _info(role, ["n", f"s{number}", c, SIZE, SIZE]),
            _info(f"{role}_mask", ["n", f"b{number}", f"s{number}"]),
        ]
        outputs += [
            _info(f"maps_{role}", ["n", k, f"s{number}", side, side]),
            _info(f"weights_{role}", ["n", f"s{number}"]),
        ]
    nodes += [
        n("IsNaN", ["clinical"], ["unknown"]),
        n("Where", ["unknown", "nothing", "clinical"], ["known"]),
        n("Concat", [*(f"{role}.embedding" for role in own), "known"], ["embedding"], axis=1),
        n("MatMul", ["embedding", "head_t"], ["product"]),
        n("Add", ["product", "offset"], ["logits"]),
    ]
    inputs.append(_info("clinical", ["n", CLINICAL]))
    outputs = [_info("logits", ["n", k]), _info("embedding", ["n", WIDTH]), *outputs]
    named = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "two", inputs, outputs, named),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _info(name: str, shape: list[int | str]) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
