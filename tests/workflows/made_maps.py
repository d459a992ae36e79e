"""A bundle that answers to bright squares, since its weights were set by hand, and patients with and without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from tests.tiny_bundle import parts, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle, DecisionFacts
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.core.types import Case, Cohort, Scan, Split
from insula.export.onnx import head_graph, model_graph
from insula.model.network import Network
from insula.model.simple_cnn import SimpleCNN

SIDE, SLICES = 32, 3
SHAPES = {"ct": (1, SIDE, SIDE)}
CLASSES = ("any", "left", "right")


def recipe() -> Recipe:
    return recipes.parse(
        {
            "name": "squares",
            "question": "Is there a bright square, and on which side?",
            "inputs": {"ct": {"modality": "CT", "prep": [{"windows": [[40, 80]]}, {"resize": SIDE}]}},
            "targets": {"square": {"kind": "multilabel", "classes": list(CLASSES), "primary": "any"}},
            "model": {"encoder": "simple_cnn", "pool": "max", "dropout": 0.2},
        },
        "made",
    )


def network() -> Network:
    """One channel alone: brightness above 60 HU, carried through every layer; the other channels are silent."""
    net = Network(recipe(), SHAPES).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        encoder = net.encoders["ct"]
        assert isinstance(encoder, SimpleCNN)
        layers: Any = encoder.layers
        for place in (0, 4, 8, 11):
            kernel = layers[place].weight
            kernel[0, 0, kernel.shape[2] // 2, kernel.shape[3] // 2] = 1.0
            layers[place + 1].weight.fill_(1.0)
        layers[1].bias[0] = -1.0
        net.heads.score.weight[:, 0] = torch.tensor([200.0, 150.0, 150.0])
        net.heads.score.bias.fill_(-3.0)
    return net


def bundle(folder: Path) -> Bundle:
    """The bundle of that network."""
    made, net = recipe(), network()
    found = parts(
        made,
        weights(1, 3),
        model_onnx=model_graph(net, SHAPES, SLICES),
        head_onnx=head_graph(net),
        weights=save_tensors({k: v.contiguous().clone() for k, v in net.state_dict().items()}),
        decision=DecisionFacts(dict.fromkeys(CLASSES, 0.5), 1.0, (0.9,) * 3),
    )
    base = replace(found.baseline, embedding_mean=np.zeros(128), embedding_precision=np.eye(128))
    return save(folder, replace(found, baseline=base))


def cohort(root: Path, ill: int = 6, well: int = 2, validation: int = 2) -> Cohort:
    """A disc of 40 HU in air; the ill have a square of 8 × 8 pixels at 70 HU in one slice, in turn left and right."""
    g = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    cases = []
    for i in range(ill + well + validation):
        array = np.where(np.hypot(x, y) < 14, 40.0, -1000.0) + g.normal(0, 1.0, (SLICES, SIDE, SIDE))
        mask = np.zeros(array.shape, np.uint8)
        sick = i < ill or i >= ill + well
        side = "left" if i % 2 else "right"
        if sick:
            row = 4 * int(g.integers(2, 5))
            column = 4 * int(g.integers(4, 5)) if side == "left" else 4 * int(g.integers(2, 3))
            mask[i % SLICES, row : row + 8, column : column + 8] = 1
        np.savez(root / f"{i}.npz", np.where(mask, 70.0, array).astype(np.float32), units=np.array("HU"))
        np.save(root / f"{i}-mask.npy", mask)
        split: Split = "test" if i < ill + well else "val"
        scan = Scan((f"{i}.npz",), "npz", mask=f"{i}-mask.npy" if sick else "")
        labels = ("any", side) if sick else ()
        cases.append(Case(f"c{i}", f"p{i}", {"ct": scan}, {"square": labels}, {}, split))
    return Cohort(tuple(cases), str(root), "patient")
