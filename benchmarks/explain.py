"""What heat maps and uncertainty cost beside a prediction (make bench-explain).

A prediction is one run of the network's graph without its maps; beside it stand the bundle's own graph, which gives a
map of every class, and the head run 30 times under dropout. Then the usual ways in PyTorch: Grad-CAM and Grad-CAM++ by
pytorch-grad-cam, one backward pass a class (left out with a line where it is not installed), and 30 passes of the whole
network, each with its own dropout. All sides of a network run interleaved in one process, with equally many threads.

`--write PAGE` writes the page of docs/results from the last line's JSON; with `--of FILE`, of an earlier output.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from machine import described
from torch import nn

from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.export.onnx import head_graph, model_graph
from insula.infer.engine import Engine
from insula.infer.sampling import sample
from insula.model.network import Network

ROUNDS, PASSES, SLICES, SIZE = 21, 30, 4, 224
SLOW_ROUNDS = 2
QUIET = 0.5  # load from which on other work is said to have been under way
GOALS = {"heat_maps": 1.03, "dropout_passes": 1.10}
SIDES = {"heat_maps": "heat maps of all classes", "dropout_passes": "30 dropout passes"}
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
    options.add_session_config_entry("session.force_spinning_stop", "1")  # it spins within a run, as by itself
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

    ours: dict[str, Callable[[], Any]] = {
        "prediction": lambda: plain.run(["logits"], feed),
        SIDES["heat_maps"]: lambda: whole.run(outputs, feed),
        SIDES["dropout_passes"]: dropout,
    }
    slow: dict[str, Callable[[], Any]] = {"30 passes of the whole network": loop(network, role, torch_x)}
    for title in ("GradCAM", "GradCAMPlusPlus"):
        if (run := library(network, recipe, torch_x, title)) is not None:
            slow[f"{title} by pytorch-grad-cam"] = run
    np.testing.assert_allclose(whole.run(["logits"], feed)[0], plain.run(["logits"], feed)[0], atol=1e-5)
    times: dict[str, list[float]] = {side: [] for side in (*ours, "prediction in PyTorch", *slow)}
    rng = np.random.default_rng(0)
    for number in range(ROUNDS + 1):
        sides = {"prediction in PyTorch": eager} | (slow if number <= SLOW_ROUNDS else {})
        whole.run(outputs, feed)  # what PyTorch leaves in the caches slows down whoever comes next
        # an order of its own in each round, so that no side always follows the same one
        for side in (*rng.permutation(list(ours)), *sides):
            run = (ours | sides)[side]
            start = time.perf_counter()
            run()
            if number:  # the first round warms up
                times[side].append(time.perf_counter() - start)
    return times


def judged(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """By side the median, least and most ms, and how many times the prediction of the same round it takes.

    Beside the prediction of the same round, so that a busy moment of the machine counts for both.
    """
    base = times["prediction"]
    return {
        side: {
            "median": round(1000 * statistics.median(found), 2),
            "least": round(1000 * min(found), 2),
            "most": round(1000 * max(found), 2),
            "times": round(statistics.median(b / a for a, b in zip(base, found, strict=False)), 4),
        }
        for side, found in times.items()
    }


def holds(figures: dict[str, Any]) -> bool:
    """Whether every network keeps to both goals."""
    return all(one["sides"][SIDES[goal]]["times"] <= limit for one in figures.values() for goal, limit in GOALS.items())


def page(found: dict[str, Any]) -> str:
    """The page of docs/results from the benchmark's JSON."""
    figures = found["figures"]
    lines = [
        "# What maps and uncertainty cost",
        "",
        "Written by `make bench-explain` (`python benchmarks/explain.py --write docs/results/explanation-speed.md`).",
        f"Measured on: {found['machine']}.",
        f"Load of the machine before: {found['load']:.1f}{BUSY if found['load'] > QUIET else ''}.",
        "",
        *PROSE.format(**found["case"]).splitlines(),
        "",
        "| network | "
        + " | ".join(f"{goal.replace('_', ' ')}, at most {limit}" for goal, limit in GOALS.items())
        + " |",
        "|---|" + "---:|" * len(GOALS),
    ]
    for title, one in figures.items():
        times = [(one["sides"][SIDES[goal]]["times"], limit) for goal, limit in found["goals"].items()]
        lines.append(f"| {title} | " + " | ".join(f"{v:.3f} {'met' if v <= m else 'missed'}" for v, m in times) + " |")
    for title, one in figures.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| | median ms | least | most | of a prediction |",
            "|---|---:|---:|---:|---:|",
        ]
        for side, row in one["sides"].items():
            times = f"{row['times']:.3f}" if row["times"] < 10 else f"{row['times']:.1f}"
            lines.append(f"| {side} | {row['median']:.1f} | {row['least']:.1f} | {row['most']:.1f} | {times} |")
    missing = [] if any(LIBRARY in side for one in figures.values() for side in one["sides"]) else [ABSENT]
    return "\n".join([*lines, *(["", *missing] if missing else []), ""])


BUSY = " (other work was under way: the figures of a quiet machine may be other ones)"
LIBRARY = "by pytorch-grad-cam"
ABSENT = "pytorch-grad-cam is not installed: its sides are left out (pip install grad-cam)"
PROSE = f"""One case of {{slices}} slices of {{size}}²; {{rounds}} rounds interleaved, {{slow}} of the slow sides.
A *prediction* is one run of the network's graph without its maps. *Of a prediction* is the median over the rounds of
the time beside the prediction of the same round. The three sides of the bundle come in an order of their own in each.

- *Heat maps of all classes*: the bundle's own graph, which gives a map of every class with the prediction.
- *30 dropout passes*: the prediction, and the heads run 30 times on its embedding.
- *Prediction in PyTorch*: the same network run there.
- *30 passes of the whole network*: the usual loop in PyTorch, with dropout drawn anew in each.
- *GradCAM* and *GradCAMPlusPlus* {LIBRARY}: a map of every class, with one backward pass each."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    parser.add_argument("--of", type=Path, metavar="FILE", help="an earlier output, whose last line is taken")
    arguments = parser.parse_args()
    found = json.loads(arguments.of.read_text().strip().splitlines()[-1]) if arguments.of else run()
    if arguments.write:
        arguments.write.write_text(page(found), encoding="utf-8")
    print(json.dumps(found))
    return 0 if found["holds"] else 1


def run() -> dict[str, Any]:
    """Measure every network, and print a table of each."""
    warnings.simplefilter("ignore")  # the library's
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    torch.set_num_threads(threads)
    load = os.getloadavg()[0]
    print(f"{described(threads, f'PyTorch {torch.__version__}')}; load {load:.1f}")
    print(f"One case of {SLICES} slices of {SIZE}², {ROUNDS} rounds interleaved ({SLOW_ROUNDS} of the slow sides)")
    if find_spec("pytorch_grad_cam") is None:
        print(ABSENT)
    figures: dict[str, Any] = {}
    for title, (name, encoder) in NETWORKS.items():
        sides = judged(measure(name, encoder, threads))
        print(f"\n{title:<36}{'median ms':>10}{'least':>9}{'most':>9}{'of a prediction':>17}")
        for side, row in sides.items():
            print(f"{side:<36}{row['median']:>10.1f}{row['least']:>9.1f}{row['most']:>9.1f}{row['times']:>17.3f}")
        figures[title] = {goal: sides[side]["times"] for goal, side in SIDES.items()} | {"sides": sides}
    kept = holds(figures)
    case = {"slices": SLICES, "size": SIZE, "rounds": ROUNDS, "slow": SLOW_ROUNDS}
    about = {"machine": described(threads, f"PyTorch {torch.__version__}"), "load": round(load, 1), "case": case}
    return {"bench": "explain", **about, "figures": figures, "goals": GOALS, "holds": kept}


if __name__ == "__main__":
    sys.exit(main())
