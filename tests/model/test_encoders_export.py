"""The exporter writes every named encoder, and the graph takes other numbers of pictures and slices."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch

from insula.export import onnx
from insula.model.encoders import NAMED, build_encoder

pytestmark = pytest.mark.train
QUICK = ("mc3_18", "vit_tiny_patch16_224")
CASES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in NAMED if name not in QUICK)]


@pytest.mark.parametrize("name", CASES)
def test_the_exported_graph_equals_the_encoder_on_another_batch(name: str) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(name, 2, False, (64, 64)).eval()
    n, s = torch.export.Dim("n", min=1, max=64), torch.export.Dim("s", min=1, max=64)
    if encoder.volumetric:
        example: tuple[torch.Tensor, ...] = (torch.rand(2, 2, 3, 64, 64), torch.ones(2, 3))
        other: tuple[torch.Tensor, ...] = (torch.rand(3, 2, 5, 64, 64), torch.ones(3, 5).tril())
        dynamic: tuple[dict[int, torch.export.Dim], ...] = ({0: n, 2: s}, {0: n, 1: s})
    else:
        example, other, dynamic = (torch.rand(2, 2, 64, 64),), (torch.rand(3, 2, 64, 64),), ({0: n},)
    names = ["x", "mask"][: len(example)]
    graph = onnx.export_graph(encoder, example, names, ["maps"], dynamic)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {k: v.numpy() for k, v in zip(names, other, strict=True)})
    with torch.no_grad():
        ours = encoder(*other).numpy()
    assert theirs.shape == ours.shape
    assert float(np.abs(theirs - ours).max()) < 1e-4 * float(np.abs(ours).max())
