"""The two graphs of a bundle, written by PyTorch's exporter with dynamic numbers of cases and slices."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from insula.core.errors import ExportError
from insula.model.network import ExportGraph, HeadGraph, Network

OPSET = 18


def model_graph(network: Network, role: str, channels: int, size: tuple[int, int]) -> bytes:
    """model.onnx as bytes: `<role>` and `<role>_mask` in; logits, embedding, maps and slice_weights out."""
    x = torch.rand(2, 3, channels, *size)
    mask = torch.ones(2, 3)
    n, s = torch.export.Dim("n", min=1, max=4096), torch.export.Dim("s", min=1, max=4096)
    return _export(
        ExportGraph(network),
        (x, mask),
        [role, f"{role}_mask"],
        ["logits", "embedding", "maps", "slice_weights"],
        ({0: n, 1: s}, {0: n, 1: s}),
    )


def head_graph(network: Network) -> bytes:
    """head.onnx as bytes: `embedding` and `keep` in, `logits` out."""
    features = network.head.in_features
    n = torch.export.Dim("n", min=1, max=65536)
    example = (torch.rand(3, features), torch.ones(3, features))
    return _export(HeadGraph(network), example, ["embedding", "keep"], ["logits"], ({0: n}, {0: n}))


def _export(
    module: nn.Module, example: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str], dynamic: Any
) -> bytes:
    module.eval()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The exporter warns about its own internals (deprecated helpers); parity is checked on real cases instead.
        warnings.simplefilter("ignore")
        previous = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            path = Path(folder) / "graph.onnx"
            program = torch.onnx.export(
                module,
                example,
                dynamo=True,
                opset_version=OPSET,
                input_names=inputs,
                output_names=outputs,
                dynamic_shapes=dynamic,
                external_data=False,
                verbose=False,
            )
            if program is None:
                raise ExportError("The exporter returned no graph; choose another encoder.")
            program.save(str(path), external_data=False)
            return path.read_bytes()
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(
                f"The network could not be written as ONNX ({reason}); choose another encoder."
            ) from error
        finally:
            logging.disable(previous)
