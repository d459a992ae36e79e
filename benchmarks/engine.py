"""What the engine costs beside the bare runtime, and gains over PyTorch (make bench-serve-engine).

One slice, and sixteen at once, of ResNet-18, ResNet-50, EfficientNet-B0 (224²) and EfficientNet-B4 (380²). Interleaved
in one process with equally many threads: the engine on the bundle's graph; ONNX Runtime on the same graph without
anything around it; the engine on the graph in 8-bit integers; PyTorch as it is, and traced to TorchScript; OpenVINO
(left out with a line where it is not installed). What each gives is compared before it is timed. Beside them stands
about what the machine can do: the pace of a product of two large matrices by OpenBLAS.

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
import torch
from machine import described
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from explain import session
from insula.core import recipe as recipes
from insula.core.recipe import Recipe
from insula.export import quantise
from insula.export.onnx import head_graph, model_graph
from insula.infer.engine import Engine
from insula.model.network import Network

ROUNDS, CALIBRATE = 15, 8
NETWORKS = {"resnet18": 224, "resnet50": 224, "efficientnet_b0": 224, "efficientnet_b4": 380}
BATCHES = (1, 16)
ENGINE, BARE, INT8, EAGER = "engine", "bare ONNX Runtime", "engine, 8-bit integers", "PyTorch"
# network → times PyTorch, and of the bare runtime
GOALS = {"resnet18": 1.5, "resnet50": 1.5, "efficientnet_b0": 2.2}
OF_BARE, INTEGERS, SIZE = 0.97, 2.7, 0.27
QUIET = 0.5
SIDE = 2048  # of the matrices
WHY = (
    "Billions of operations a second, counted as multiplications and additions of the convolutions and products. The",
    "product of two matrices tells about what these cores do; it is no bound: a network may be some percent above it.",
    "A goal far above it asks for more than was seen here; one at or below it is missed for a reason not found.",
)


class Columns(nn.Module):
    """The network as a function of slices (N, C, H, W), one case each."""

    def __init__(self, network: Network, role: str) -> None:
        super().__init__()
        self.network, self.role = network, role

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(x.shape[0], 1, 1)
        columns: torch.Tensor = self.network({self.role: x[:, None]}, {self.role: mask})
        return columns


def settings(encoder: str, side: int) -> Recipe:
    return recipes.load(
        "stroke-ct",
        (f"model.encoder={encoder}", "model.pretrained=false", f"inputs.ct.prep=[head_crop: {{}}, resize: {side}]"),
    )


def openvino(graph: bytes, feed: dict[str, Any], threads: int) -> Callable[[], Any] | None:
    if find_spec("openvino") is None:
        return None
    import openvino as ov

    core = ov.Core()
    model = core.read_model(graph)
    # single precision, as all others: by itself it takes bf16 where the processor has it
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    found = core.compile_model(model, "CPU", settings)
    names = [port.get_any_name() for port in found.inputs]
    request = found.create_infer_request()
    return lambda: request.infer({name: feed[name] for name in names})[found.output("logits")]


def measure(encoder: str, side: int, threads: int) -> dict[str, Any]:
    recipe = settings(encoder, side)
    role, shape = recipe.role, (3, side, side)
    torch.manual_seed(0)
    network = Network(recipe, {role: shape}).eval()
    graph, head = model_graph(network, {role: shape}), head_graph(network)
    rng = np.random.default_rng(0)

    def feed(count: int) -> dict[str, Any]:
        x = rng.normal(0, 1, (count, 1, *shape)).astype(np.float32)
        return {role: x, f"{role}_mask": np.ones((count, 1, 1), np.float32)}

    small = quantise.quantised(quantise.prepared(graph), [feed(1) for _ in range(CALIBRATE)])
    engine, integers = (Engine.of_graphs(g, head, recipe, threads) for g in (graph, small))
    bare = session(graph, threads)
    outputs = [o.name for o in bare.get_outputs()]
    eager = Columns(network, role).eval()
    found: dict[str, Any] = {"bytes": len(graph), "bytes_int8": len(small), "batches": {}, "operations": 0}
    found["product"] = product(threads)
    for count in BATCHES:
        given = feed(count)
        x = torch.from_numpy(given[role][:, 0])
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if count == 1:
                with FlopCounterMode(display=False) as counter:
                    eager(x)
                found["operations"] = counter.get_total_flops()
            traced = torch.jit.freeze(torch.jit.trace(eager, x, check_trace=False))  # type: ignore[no-untyped-call]
        sides: dict[str, Callable[[], Any]] = {
            ENGINE: lambda given=given: engine.run(given).logits,  # type: ignore[misc]
            BARE: lambda given=given: bare.run(outputs, given)[outputs.index("logits")],  # type: ignore[misc]
            INT8: lambda given=given: integers.run(given).logits,  # type: ignore[misc]
            EAGER: lambda x=x: eager(x).numpy(),  # type: ignore[misc]
            "TorchScript": lambda x=x, traced=traced: traced(x).numpy(),  # type: ignore[misc]
        }
        if (run := openvino(graph, given, threads)) is not None:
            sides["OpenVINO"] = run
        found["batches"][str(count)] = timed(sides)
    return found


def product(threads: int) -> float:
    """Operations a second of a product of two matrices of single precision; the median of `ROUNDS`."""
    a, b = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    times = []
    with threadpool_limits(threads, user_api="blas"):
        for _ in range(ROUNDS):
            start = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - start)
    time.sleep(0.5)  # its threads spin on for a while
    return 2 * SIDE**3 / statistics.median(times)


def timed(sides: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """By side the median ms, and how many times as fast it is as PyTorch and as the bare runtime, round by round."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    order = np.random.default_rng(0)
    with torch.no_grad():
        right = sides[EAGER]()
        for name, run in sides.items():
            gap = float(np.abs(np.asarray(run()) - right).max()) / max(1.0, float(np.abs(right).max()))
            assert gap < (1e-3 if name != INT8 else 2.0), f"{name} gives another answer ({gap:.2g})"
        for number in range(ROUNDS + 1):
            for name in order.permutation(list(sides)):
                start = time.perf_counter()
                sides[name]()
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - start)
    return {
        name: {
            "median": round(1000 * statistics.median(mine), 2),
            "of_pytorch": round(statistics.median(a / b for a, b in zip(times[EAGER], mine, strict=True)), 3),
            "of_bare": round(statistics.median(a / b for a, b in zip(times[BARE], mine, strict=True)), 3),
        }
        for name, mine in times.items()
    }


def judged(figures: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Each goal: what it is about, the figure, the goal, and whether it is met."""
    found = []
    for encoder, one in figures.items():
        for count, sides in one["batches"].items():
            at = f"{encoder}, {count} at once"
            bare = sides[ENGINE]["of_bare"]
            found.append((f"{at}: engine, of the bare runtime", bare, OF_BARE, bare >= OF_BARE))
            if encoder in GOALS:
                times = sides[ENGINE]["of_pytorch"]
                found.append((f"{at}: engine, times PyTorch", times, GOALS[encoder], times >= GOALS[encoder]))
            if encoder.startswith("resnet"):
                times = sides[INT8]["of_pytorch"]
                found.append((f"{at}: integers, times PyTorch", times, INTEGERS, times >= INTEGERS))
        if encoder.startswith("resnet"):
            share = round(one["bytes_int8"] / one["bytes"], 3)
            found.append((f"{encoder}: size in integers, of the whole", share, SIZE, share <= SIZE))
    return found


def run() -> dict[str, Any]:
    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    load = os.getloadavg()[0]
    figures = {}
    for encoder, side in NETWORKS.items():
        figures[encoder] = measure(encoder, side, threads)
        print(encoder, json.dumps(figures[encoder]["batches"]), file=sys.stderr)
    goals = judged(figures)
    versions = [f"PyTorch {torch.__version__}"]
    if find_spec("openvino") is not None:
        import openvino as ov

        versions.append(f"OpenVINO {ov.__version__.split('-')[0]}")
    return {
        "machine": described(threads, *versions),
        "load": load,
        "rounds": ROUNDS,
        "figures": figures,
        "goals": goals,
        "holds": all(met for *_, met in goals),
    }


def page(found: dict[str, Any]) -> str:
    busy = " (other work was under way: a quiet machine may give other figures)" if found["load"] > QUIET else ""
    lines = [
        "# The engine beside the bare runtime and PyTorch",
        "",
        "Written by `make bench-serve-engine` (`python benchmarks/engine.py --write docs/results/engine.md`).",
        f"Measured on: {found['machine']}.",
        f"Load of the machine before: {found['load']:.1f}{busy}.",
        "",
        f"Random weights; {found['rounds']} rounds interleaved, in an order of their own. Times are medians over the",
        "rounds of the quotient within the round. The engine and the bare runtime give logits, embedding and class",
        "maps; PyTorch, TorchScript and OpenVINO the logits alone.",
        "",
        "| goal | measured | goal | |",
        "|---|---:|---:|---|",
        *(
            f"| {what} | {value:.3f} | {goal:g} | {'met' if met else 'missed'} |"
            for what, value, goal, met in found["goals"]
        ),
    ]
    lines += ["", *_why_missed(found)]
    for encoder, one in found["figures"].items():
        whole, small = one["bytes"] / 1e6, one["bytes_int8"] / 1e6
        lines += [
            "",
            f"## {encoder} ({NETWORKS[encoder]}²), {whole:.1f} MB, {small:.1f} in integers",
            "",
            "| | slices at once | median ms | times PyTorch | of the bare runtime |",
            "|---|---:|---:|---:|---:|",
        ]
        for count, sides in one["batches"].items():
            lines += [
                f"| {name} | {count} | {row['median']:.1f} | {row['of_pytorch']:.2f} | {row['of_bare']:.2f} |"
                for name, row in sides.items()
            ]
    if not any("OpenVINO" in s for one in found["figures"].values() for s in one["batches"]["1"]):
        lines += ["", "OpenVINO is not installed: its side is left out (pip install openvino)."]
    return "\n".join([*lines, ""])


def _why_missed(found: dict[str, Any]) -> list[str]:
    """What other runtimes reach where the engine misses its goal, and what two matrices do."""
    rows = []
    for encoder, goal in GOALS.items():
        one = found["figures"][encoder]
        for count, sides in one["batches"].items():
            if sides[ENGINE]["of_pytorch"] < goal:
                others = [f"{sides[n]['of_pytorch']:.2f}" if n in sides else "" for n in (BARE, "OpenVINO")]
                eager, engine = (one["operations"] * int(count) / sides[n]["median"] / 1e6 for n in (EAGER, ENGINE))
                paces = [f"{pace:.0f}" for pace in (eager, engine, goal * eager, one["product"] / 1e9)]
                rows.append(f"| {' | '.join([f'{encoder}, {count} at once', f'{goal:g}', *others, *paces])} |")
    head = "Where the goal against PyTorch is missed, this is what the runtimes themselves reach in single precision:"
    names = "| | goal | bare ONNX Runtime | OpenVINO | PyTorch's pace | engine's | the goal's | two matrices |"
    return [head, "", names, "|---|" + "---:|" * 7, *rows, "", *WHY] if rows else []


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


if __name__ == "__main__":
    raise SystemExit(main())
