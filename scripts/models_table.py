"""Write docs/models.md: every named encoder with its size, its cost, one training step and its export."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import timm
import torch
from torch import nn

from insula.core.errors import InsulaError
from insula.export import onnx
from insula.model.cost import cost
from insula.model.encoders import NAMED, build_encoder

ROOT = Path(__file__).parents[1]
FLAT, VOLUME, SLICES = (224, 224), (112, 112), 8
INTRODUCTION = """# Models: the encoders

An encoder turns a picture, or a whole volume, into a map of features; pooling, fusion and heads come after it. A recipe
names one by `model.encoder`. The table lists the encoders that the tests try one by one; every other backbone of timm
is taken by its name as well, and refused with a reason where it gives no map at the size that is asked for.

The table is written by `.venv/bin/python scripts/models_table.py`, here with PyTorch {torch} and timm {timm}; a test
compares its counts with the code.

- **Parameters**: without a classifier, in millions.
- **Multiply-adds**: of one forward pass of one input, in thousands of millions; convolutions, linear layers and both
  products of attention.
- **Kept**: activations that the backward pass needs for one input, in MiB of 32-bit floats, without weights; behind the
  slash with recomputed stages (one stage more while it is recomputed). Times the batch, and times the slices of a case
  for an encoder of pictures.
- **One step**: cross-entropy of one fixed batch ({pictures} pictures or {volumes} volumes of noise, two classes, random
  weights) before and after one Adam step at 1e-5.
- **ONNX**: the largest difference between the exported graph and PyTorch on a batch of another size (and depth), as a
  share of the largest value of the map.

| encoder | input | parameters (M) | multiply-adds (G) | features | map | kept (MiB) | one step | ONNX |
|---|---|---|---|---|---|---|---|---|
"""
CLOSING = """
## Size of the picture

A recipe's preparation sets it. ResNets, EfficientNets, DenseNets and ConvNeXt take any size; their map is 32 times
smaller on each side, so 96² leaves 3×3 cells, and `simple_cnn`, whose map is 4 times smaller, keeps 24×24. Vision
transformers are built for the size of the recipe and take pictures that are not square; the picture has to be a whole
number of patches. Every encoder is tried with one empty picture before training, so a size that does not fit is said at
once. Any number of channels is taken.

## Volumes

`resnet3d_18`, `r2plus1d_18` and `mc3_18` see a whole volume. Their strides along the slices are 1, so that each slice
keeps its own cells and the class map has the depth of the scan; torchvision's first two halve the depth three times,
and need half of the multiply-adds. Padded slices are zero after every normalisation: a case gives the same map alone
and padded in a batch, and in training batch norm sees the real slices alone.

Memory grows with the slices: at 224² each one keeps {volumes_kept}. So a volume has to be prepared small enough, or its
stages recomputed in the backward pass. Recomputing costs one more forward pass, and changes neither the gradients nor
the running statistics of batch norm.

## Starting weights

`model.pretrained` is one of these, and the first line of a run, its `run.json` and the bundle say which:

- `false`: random weights;
- `true`: timm's published weights from the Hugging Face hub, torchvision's Kinetics-400 weights for volumes. Without a
  network, or without such weights, the run stops and names both other ways. Published weights have their own licence;
  the line says it where timm knows it;
- a file: safetensors, or a PyTorch checkpoint of nothing but tensors. Nothing else is ever unpickled: save the
  `state_dict` alone.

A file may hold the tensors under any prefix (`state_dict`, `module.`, `model.`, `backbone.`, `encoder.`, a run of
Insula, a checkpoint of self-supervised pretraining). Tensors are matched by name and shape; heads and optimisers are
left alone; positions of a vision transformer are fitted to the new grid. A first convolution of another number of
channels is fitted: one channel gets the sum of the kernels, several get them in turn, times old over new number. With
fewer than half of the encoder's tensors the run stops. The line says how many were taken, and the file's SHA-256. A
file that holds the encoder more than once, such as a run of several modalities, needs the prefix behind a hash sign:
`runs/both/weights.safetensors#encoders.ct`.

## Adding an encoder

One entry in `insula.model.encoders`, or an entry point of the group `insula.encoder`, that names a function of the
number of channels and of whether published weights are wanted. It returns a module with `num_features` (and
`volumetric = True` where it takes volumes and a mask); files of weights are loaded for it.
"""


def step(encoder: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[float, float]:
    """Loss of one batch before and after one optimiser step on it."""
    head = nn.Linear(int(encoder.num_features), 2)
    labels = torch.arange(len(inputs[0])) % 2
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-5)

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(head(encoder(*inputs).flatten(2).mean(2)), labels)

    encoder.train()
    before = loss()
    before.backward()
    optimiser.step()
    with torch.no_grad():
        return float(before.detach()), float(loss())


def exported(encoder: nn.Module, inputs: tuple[torch.Tensor, ...], others: tuple[torch.Tensor, ...]) -> str:
    """Relative difference of the exported graph on other inputs, or the reason why there is none."""
    n, s = torch.export.Dim("n", min=1, max=4096), torch.export.Dim("s", min=1, max=4096)
    dynamic = ({0: n, 2: s}, {0: n, 1: s}) if encoder.volumetric else ({0: n},)
    names = ["x", "mask"][: len(inputs)]
    try:
        graph = onnx.export_graph(encoder.eval(), inputs, names, ["maps"], dynamic)
    except InsulaError as error:
        return f"no: {error}"
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {k: v.numpy() for k, v in zip(names, others, strict=True)})[0]
    with torch.no_grad():
        ours = encoder(*others).numpy()
    return f"{np.abs(theirs - ours).max() / np.abs(ours).max():.0e}"


def given(encoder: nn.Module, count: int, slices: int, size: tuple[int, int]) -> tuple[torch.Tensor, ...]:
    """A batch of noise; the last volume has one padded slice."""
    if not encoder.volumetric:
        return (torch.randn(count, 3, *size),)
    mask = torch.ones(count, slices)
    mask[-1, -1] = 0.0
    return torch.randn(count, 3, slices, *size), mask


def row(name: str, pictures: int, volumes: int) -> str:
    """One line of the table."""
    torch.manual_seed(0)
    encoder = build_encoder(name, 3, False, FLAT)
    deep = bool(encoder.volumetric)
    size = VOLUME if deep else FLAT
    found = cost(name, 3, size, SLICES)
    before, after = step(encoder, given(encoder, volumes if deep else pictures, SLICES, size))
    onnx_cell = exported(encoder, given(encoder, 2, 3, size), given(encoder, 3, 5, size))
    depth = f"{SLICES}×" if deep else ""
    cells = (
        f"`{name}`",
        f"3×{depth}{size[0]}×{size[1]}",
        f"{found.parameters / 1e6:.3f}",
        f"{found.multiply_adds / 1e9:.2f}",
        str(found.features),
        f"{depth}{found.cells[0]}×{found.cells[1]}",
        f"{found.kept / 2**20:.0f} / {found.kept_checkpointed / 2**20:.0f}",
        f"{before:.4f} → {after:.4f}",
        onnx_cell,
    )
    return "| " + " | ".join(cells) + " |"


def slice_kept(name: str) -> str:
    """Memory of one slice of a volume at 224², with and without recomputing."""
    found = cost(name, 1, FLAT, SLICES)
    plain, recomputed = (n / SLICES / 2**20 for n in (found.kept, found.kept_checkpointed))
    return f"{plain:.0f} MiB with `{name}` ({recomputed:.0f} when recomputed)"


def main(pictures: int = 4, volumes: int = 2) -> None:
    """Measure every named encoder and write the page."""
    rows = []
    for name in NAMED:
        rows.append(row(name, pictures, volumes))
        print(rows[-1], file=sys.stderr, flush=True)
    head = INTRODUCTION.format(
        torch=torch.__version__.partition("+")[0], timm=timm.__version__, pictures=pictures, volumes=volumes
    )
    foot = CLOSING.format(volumes_kept=" and ".join(slice_kept(name) for name in ("resnet3d_18", "r2plus1d_18")))
    (ROOT / "docs" / "models.md").write_text(head + "\n".join(rows) + "\n" + foot, encoding="utf-8")


if __name__ == "__main__":
    main()
