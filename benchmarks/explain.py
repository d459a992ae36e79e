"""What heat maps and uncertainty cost beside a prediction (make bench-explain).

A prediction is one run of the network's graph without its maps; beside it stand the bundle's own graph, which gives a
map of every class, and the head run 30 times under dropout. Then the usual ways in PyTorch: Grad-CAM and Grad-CAM++ by
pytorch-grad-cam, one backward pass a class (left out with a line where it is not installed), and 30 passes of the whole
network, each with its own dropout. All sides of a network run interleaved in one process, with equally many threads.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.export.onnx import head_graph, model_graph
from insula.infer.engine import Engine
from insula.infer.sampling import sample
from insula.model.network import Network

ROUNDS, PASSES, SLICES, SIZE = 15, 30, 4, 224
SLOW_ROUNDS = 2
GOALS = {"heat_maps": 1.03, "dropout_passes": 1.10}
NETWORKS = {
    "resnet18, mean": ("stroke-ct", "resnet18"),
    "efficientnet_b0, attention": ("haemorrhage-ct", "efficientnet_b0"),
    "resnet50, attention": ("brain-tumour", "resnet50"),
}


def settings(name: str, encoder: str) -> Recipe:
    return recipes.load(name, (f"model.encoder={encoder}", "model.pretrained=false"))


def without_maps(graph: bytes) -> bytes:
    """The graph with its columns alone as output: whatever the maps need is gone."""
    model = onnx.load_from_string(graph)
    while len(model.graph.output) > 1:
        model.graph.output.pop()
    assert model.graph.output[0].name == "logits"
    return bytes(model.SerializeToString())


def session(graph: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class Slices(nn.Module):
    """The network as a function of one case's slices (S, C, H, W): the form in which the library takes it."""

    def __init__(self, network: Network, role: str) -> None:
        super().__init__()
        self.network, self.role = network, role

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(1, 1, len(x))
        columns: torch.Tensor = self.network({self.role: x[None]}, {self.role: mask})
        return columns


def library(network: Network, recipe: Recipe, x: torch.Tensor, name: str) -> Callable[[], Any] | None:
    """A map of every class by pytorch-grad-cam, as its users call it; None where it is not installed."""
    if find_spec("pytorch_grad_cam") is None:
        return None
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model = Slices(network, recipe.role).eval()
    cam = getattr(pytorch_grad_cam, name)(model, [network.encoders[recipe.role]])
    # it asks for as many targets as there are pictures, and takes the columns of the first ones
    targets = [[ClassifierOutputTarget(k)] for k in range(len(recipe.target.classes))]

    def run() -> list[Any]:
        return [cam(x, targets=one) for one in targets]

    return run


def loop(network: Network, role: str, x: torch.Tensor) -> Callable[[], torch.Tensor]:
    """30 passes of the whole network with dropout drawn anew in each, batch norm as in evaluation."""

    def run() -> torch.Tensor:
        network.dropout.train()
        mask = {role: torch.ones(1, 1, x.shape[0])}
        with torch.no_grad():
            found = torch.stack([network({role: x[None]}, mask) for _ in range(PASSES)])
        network.dropout.eval()
        return found

    return run


def measure(name: str, encoder: str, threads: int) -> dict[str, list[float]]:
    recipe = settings(name, encoder)
    role, channels = recipe.role, 3 if name == "haemorrhage-ct" else 1
    shape = (channels, SIZE, SIZE)
    torch.manual_seed(0)
    network = Network(recipe, {role: shape}).eval()
    graph = model_graph(network, {role: shape})
    engine = Engine.of_graphs(graph, head_graph(network), recipe, threads)
    plain, whole = session(without_maps(graph), threads), session(graph, threads)
    outputs = [o.name for o in whole.get_outputs()]
    x = np.random.default_rng(0).random((1, SLICES, *shape)).astype(np.float32)
    feed = {role: x, f"{role}_mask": np.ones((1, 1, SLICES), np.float32)}
    torch_x = torch.from_numpy(x[0])
    embedding = engine.run(feed).embedding

    def dropout() -> Any:
        found = plain.run(["logits"], feed)
        sample(engine, embedding, PASSES, recipe.model.dropout, recipe.seed)
        return found

    def eager() -> Any:
        with torch.no_grad():
            return network({role: torch_x[None]}, {role: torch.ones(1, 1, SLICES)})

    quick: dict[str, Callable[[], Any]] = {
        "prediction": lambda: plain.run(["logits"], feed),
        "heat maps of all classes": lambda: whole.run(outputs, feed),
        "30 dropout passes": dropout,
        "prediction in PyTorch": eager,
    }
    slow: dict[str, Callable[[], Any]] = {"30 passes of the whole network": loop(network, role, torch_x)}
    for title in ("GradCAM", "GradCAMPlusPlus"):
        if (run := library(network, recipe, torch_x, title)) is not None:
            slow[f"{title} by pytorch-grad-cam"] = run
    np.testing.assert_allclose(whole.run(["logits"], feed)[0], plain.run(["logits"], feed)[0], atol=1e-5)
    times: dict[str, list[float]] = {side: [] for side in (*quick, *slow)}
    for number in range(ROUNDS + 1):
        for side, run in (quick | (slow if number <= SLOW_ROUNDS else {})).items():
            start = time.perf_counter()
            run()
            if number:  # the first round warms up
                times[side].append(time.perf_counter() - start)
    return times


def main() -> int:
    warnings.simplefilter("ignore")  # the library's
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    torch.set_num_threads(threads)
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {threads} threads, Python "
        f"{platform.python_version()}, ONNX Runtime {onnxruntime.__version__}, PyTorch {torch.__version__}; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"One case of {SLICES} slices of {SIZE}², {ROUNDS} rounds interleaved ({SLOW_ROUNDS} of the slow sides)")
    if find_spec("pytorch_grad_cam") is None:
        print("pytorch-grad-cam is not installed: its sides are left out (pip install grad-cam)")
    figures: dict[str, dict[str, float]] = {}
    for title, (name, encoder) in NETWORKS.items():
        times = measure(name, encoder, threads)
        print(f"\n{title:<36}{'median ms':>10}{'least':>9}{'most':>9}{'of a prediction':>17}")
        base = times["prediction"]
        ratios = {}
        for side, found in times.items():
            # beside the prediction of the same round, so that a busy moment of the machine counts for both
            ratios[side] = statistics.median(b / a for a, b in zip(base, found, strict=False))
            middle, least, most = (1000 * f(found) for f in (statistics.median, min, max))
            print(f"{side:<36}{middle:>10.1f}{least:>9.1f}{most:>9.1f}{ratios[side]:>17.3f}")
        figures[title] = {
            "heat_maps": round(ratios["heat maps of all classes"], 4),
            "dropout_passes": round(ratios["30 dropout passes"], 4),
            "loop": round(ratios["30 passes of the whole network"], 2),
            **{
                key: round(ratios[side], 2)
                for key, side in (
                    ("grad_cam", "GradCAM by pytorch-grad-cam"),
                    ("grad_cam_pp", "GradCAMPlusPlus by pytorch-grad-cam"),
                )
                if side in ratios
            },
        }
    holds = all(found[goal] <= limit for found in figures.values() for goal, limit in GOALS.items())
    print(json.dumps({"bench": "explain", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
