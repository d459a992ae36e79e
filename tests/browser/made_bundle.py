"""A bundle that finds bright blood on head CT by weights set by hand: no training, and its heat lies on the blood.

Each filter takes the mean brightness of a block in the brain window less a limit, and nothing where there is bone. So
a scan with a large bright lesion is accepted as haemorrhage, one with a small one is referred, one without is normal.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tests.tiny_bundle import FEATURES, Weights, model_graph, parts

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.core.recipe import Recipe

SIDE = 192
BLOCK = 8
CLASSES = ("normal", "haemorrhage")
_BONE = 40.0
_GAIN = 14_000.0
_PRIOR = 3.5


def weights(prior: float = _PRIOR) -> Weights:
    """Six detectors of blocks that are brighter than a limit each; columns of the head: normal, haemorrhage."""
    limits = np.linspace(0.58, 0.68, FEATURES)
    window = np.full((FEATURES, 1, BLOCK, BLOCK), 1.0 / BLOCK**2)
    filters = np.concatenate([window, -_BONE * window], axis=1)
    head = np.stack([np.zeros(FEATURES), np.full(FEATURES, _GAIN / FEATURES)])
    return Weights(_f32(filters), _f32(-limits), _f32(head), _f32(np.array([prior, 0.0])))


def recipe() -> Recipe:
    """A CT recipe of the brain and the bone window."""
    return recipes.parse(
        {
            "name": "haemorrhage-ct",
            "question": "Is there intracranial haemorrhage on this non-contrast head CT?",
            "seed": 7,
            "inputs": {
                "ct": {
                    "modality": "CT",
                    "unit": "series",
                    "prep": [{"windows": [[40, 80], [600, 800]]}, {"resize": SIDE}],
                }
            },
            "targets": {"haemorrhage": {"kind": "multiclass", "classes": list(CLASSES), "primary": CLASSES[1]}},
            "model": {"encoder": "simple_cnn", "dropout": 0.2},
            "policy": {"passes": 12, "refer": {"confidence": 0.8, "spread": 0.2}, "prevalences": [0.01, 0.05]},
        },
        "made",
    )


def make(place: Path, prior: float = _PRIOR) -> Bundle:
    """Save the bundle. prior: logit of a scan without blood for normal; another one makes another model."""
    said, set_by_hand = recipe(), weights(prior)
    made = parts(said, set_by_hand)
    baseline = replace(made.baseline, distances=np.linspace(0.1, 9.0, 40), embedding_mean=np.full(FEATURES, 0.005))
    return save(
        place,
        replace(made, model_onnx=model_graph(set_by_hand, said.role, SIDE), baseline=baseline),
    )


def _f32(array: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
