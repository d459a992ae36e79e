"""One training step: how long it waits for data, what augmentation costs, and the pace beside synthetic tensors.

Every round runs the three sides one after another in one process: the trainer's own loop (loader, augmentation, module,
callbacks), the same without augmentation, and the bare network with its loss and optimizer on tensors in memory. On a
machine with a CUDA device ResNet-50 and EfficientNet-B4 follow at batch 128 in mixed precision, with the share of the
matrix peak that a plain multiplication reaches there.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from insula.core import recipe as recipes
from insula.core.types import Case, Cohort, Scan
from insula.model.cost import cost
from insula.prep.cache import build_all
from insula.train.augment import augment
from insula.train.data import Collate, SliceDataset, samples
from insula.train.fit import fit

ROUNDS, BATCH, SIZE, STEPS = 3, 8, 224, 6
GOALS = {"data_wait": 0.02, "augmentation": 0.10, "throughput": 0.95}
FULL = {
    "elastic": 0.02, "grid": 0.1, "optical": 0.1, "gamma": 0.3, "blur": 1.0, "local_contrast": 0.5, "holes": 0.1,
    "bias": 0.3, "gibbs": 0.3, "ghost": 0.3, "motion": 0.02, "ring": 0.1, "streak": 0.1,
}  # fmt: skip


class Clock(Callback):
    """Times each batch from its arrival to its end, and the wait before it; the first two of a run warm up."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.steps: list[float] = []
        self._ended = 0.0
        self._began = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._began = now()
        if batch_idx >= 2:
            self.waits.append(self._began - self._ended)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._ended = now()
        if batch_idx >= 2:
            self.steps.append(self._ended - self._began)


def now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def cohort(root: Path, count: int) -> Cohort:
    draw = np.random.default_rng(0)
    cases = []
    for i in range(count + 2 * 2):
        np.save(root / f"{i}.npy", draw.random((1, SIZE, SIZE), dtype=np.float32))
        label = ("healthy", "benign", "malignant")[i % 3]
        split: Any = "train" if i < count else "val"
        cases.append(
            Case(f"c{i:04}", f"p{i:04}", {"mri": Scan((f"{i}.npy",), "npy")}, {"tumour": (label,)}, split=split)
        )
    return Cohort(tuple(cases), str(root), "patient")


def recipe(encoder: str, batch: int, *more: str) -> recipes.Recipe:
    return recipes.load(
        "brain-tumour",
        (
            f"model.encoder={encoder}", "model.pretrained=false", "model.pool=mean", "train.epochs=1", "train.ema=0",
            f"train.batch={batch}", f"inputs.mri.prep=[percentile: [0, 100], resize: {SIZE}]", *more,
        ),
    )  # fmt: skip


def trained(table: Cohort, question: recipes.Recipe, folder: Path, prepared: Any) -> Clock:
    clock = Clock()
    fit(table, question, folder, folder, prepared=prepared, callbacks=[clock])
    return clock


def synthetic(
    question: recipes.Recipe, batch: Any, steps: int, device: str, autocast: torch.dtype | None
) -> list[float]:
    """The same network, loss and optimizer on one batch that lies in memory."""
    from insula.model.memory import channels_last
    from insula.model.network import Network
    from insula.train.losses import JointLoss, label_facts
    from insula.train.optimise import make_optimizer

    lightning.seed_everything(0, verbose=False)
    network = channels_last(Network(question, {"mri": tuple(batch.x["mri"].shape[2:])})).to(device).train()
    loss = JointLoss(question, label_facts(question, batch.y, batch.known)).to(device)
    optimizer = make_optimizer(network, question.train)
    x, mask, y, known = (
        {k: v.to(device) for k, v in part.items()} for part in (batch.x, batch.mask, batch.y, batch.known)
    )
    found = []
    for i in range(steps + 2):
        start = now()
        optimizer.zero_grad()
        with torch.autocast(device, autocast or torch.bfloat16, enabled=autocast is not None):
            columns = network(x, mask)
            total, _ = loss({"tumour": columns}, y, known)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if i >= 2:
            found.append(now() - start)
    return found


def augmentation(question: recipes.Recipe, batch: Any) -> float:
    generator = torch.Generator().manual_seed(1)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        augment(batch.x["mri"], question.train.augment, generator, batch.mask["mri"].amax(1))
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def cpu(root: Path) -> dict[str, float]:
    full = "train.augment=" + json.dumps(FULL)
    table = cohort(root, BATCH * (STEPS + 2))
    with_all, plain = (
        recipe("resnet18", BATCH, full),
        recipe(
            "resnet18",
            BATCH,
            "train.augment={flip: 0, rotate: 0, shift: 0, scale: 0, brightness: 0, contrast: 0, noise: 0, chance: 0}",
        ),
    )
    prepared = build_all(table.cases, Path(table.root), plain, root / "cache")
    rows = samples(table.of_split("train"), prepared, plain)
    data = SliceDataset(rows, prepared)
    batch = Collate(plain, prepared)([data[i] for i in range(BATCH)])
    waits, shares, paces, steps = [], [], [], []
    for i in range(ROUNDS):
        augmented = trained(table, with_all, root / f"full-{i}", prepared)
        bare = trained(table, plain, root / f"plain-{i}", prepared)
        bench = synthetic(plain, batch, STEPS, "cpu", None)
        step = statistics.median(augmented.steps)
        waits.append(statistics.median(augmented.waits) / (step + statistics.median(augmented.waits)))
        shares.append(augmentation(with_all, batch) / step)
        ours = statistics.median(bare.steps) + statistics.median(bare.waits)
        paces.append(statistics.median(bench) / ours)
        steps.append(step)
        print(
            f"round {i + 1}: step {step * 1000:.0f} ms, waits {waits[-1]:.2%}, augmentation {shares[-1]:.1%}, "
            f"pace {paces[-1]:.3f} of synthetic",
            flush=True,
        )
    return {
        "step_ms": statistics.median(steps) * 1000,
        "data_wait": statistics.median(waits),
        "augmentation": statistics.median(shares),
        "throughput": statistics.median(paces),
    }


def gpu(root: Path) -> dict[str, float]:
    """Images a second at batch 128 in mixed precision, the wait for data, and the share of the measured matrix peak."""
    found: dict[str, float] = {}
    size = 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    times = []
    for _ in range(10):
        start = now()
        a @ a
        times.append(now() - start)
    peak = 2 * size**3 / statistics.median(times[2:])
    table = cohort(root, 128 * 12)
    for encoder in ("resnet50", "efficientnet_b4"):
        question = recipe(encoder, 128, "train.precision=bf16", "train.epochs=2")
        prepared = build_all(table.cases, Path(table.root), question, root / "cache")
        clock = trained(table, question, root / encoder, prepared)
        step, wait = statistics.median(clock.steps), statistics.median(clock.waits)
        work = 6 * cost(encoder, 1, (SIZE, SIZE)).multiply_adds * 128  # forward and backward, two operations each
        found |= {
            f"{encoder}_images_per_s": 128 / (step + wait),
            f"{encoder}_data_wait": wait / (step + wait),
            f"{encoder}_share_of_peak": work / step / peak,
        }
    return found


def main() -> int:
    torch.set_num_threads(os.cpu_count() or 1)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, PyTorch {torch.__version__}, batch {BATCH} of 1×{SIZE}×{SIZE}"
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        figures = cpu(root)
        if torch.cuda.is_available():
            figures |= gpu(root)
        else:
            print("no CUDA device: the figures that need one are left out")
    for key, value in figures.items():
        print(f"{key:28} {value:12.4f}")
    holds = (
        figures["data_wait"] <= GOALS["data_wait"]
        and figures["augmentation"] <= GOALS["augmentation"]
        and figures["throughput"] >= GOALS["throughput"]
    )
    print(json.dumps({"bench": "train", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
