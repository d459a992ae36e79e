"""The usual way to serve a network: Flask, PyTorch as it is, a map by gradients, the whole network 30 times.

Started by gunicorn (`service_usual:app`) with the network's name in BENCH_ENCODER. It takes what /predict takes.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pydicom
import torch
from flask import Flask, jsonify, request
from service import recipe_of
from torch import nn
from torch.nn import functional

from insula.model.network import Network

PASSES, SIDE = 30, 224

torch.set_num_threads(1)  # gunicorn has a worker for each core
torch.manual_seed(0)
recipe = recipe_of(os.environ["BENCH_ENCODER"])
network = Network(recipe, {recipe.role: (1, SIDE, SIDE)}).eval()
app = Flask(__name__)


def prepared(stream: Any) -> torch.Tensor:
    """The slice in a brain window, 224²."""
    file = pydicom.dcmread(stream)
    hu = file.pixel_array.astype(np.float32) * float(file.RescaleSlope) + float(file.RescaleIntercept)
    shown = torch.from_numpy(np.clip(hu / 80.0, 0.0, 1.0))[None, None]
    return functional.interpolate(shown, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def columns(x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = network({recipe.role: x[:, None]}, {recipe.role: torch.ones(len(x), 1, 1)})
    return found


def grad_cam(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of the likeliest class at the encoder's last maps, and the columns."""
    kept: list[torch.Tensor] = []
    handle = network.encoders[recipe.role].register_forward_hook(lambda m, i, out: kept.append(out))
    try:
        with torch.enable_grad():
            said = columns(x.requires_grad_())
            (slope,) = torch.autograd.grad(said[0, int(said[0].argmax())], kept[0])
    finally:
        handle.remove()
    weights = slope.mean(dim=(2, 3), keepdim=True)
    heat = functional.relu((weights * kept[0]).sum(dim=1, keepdim=True))
    return functional.interpolate(heat, size=(SIDE, SIDE), mode="bilinear").detach(), said.detach()


def passes(x: torch.Tensor) -> torch.Tensor:
    """Probabilities of 30 passes of the whole network with dropout."""
    drops = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    for one in (*drops, network.dropout):
        one.train()
    with torch.no_grad():
        found = torch.stack([columns(x).softmax(dim=-1)[0] for _ in range(PASSES)])
    for one in (*drops, network.dropout):
        one.eval()
    return found


@app.get("/health")
def health() -> Any:
    return jsonify(status="ok")


@app.post("/predict")
def predict() -> Any:
    x = prepared(request.files["file"].stream)
    heat, said = grad_cam(x)
    drawn = passes(x.detach())
    return jsonify(
        probabilities=said.softmax(dim=-1)[0].tolist(),
        uncertainty=drawn.std(dim=0).tolist(),
        hottest=float(heat.max()),
    )
