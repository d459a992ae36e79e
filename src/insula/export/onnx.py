"""The two graphs of a bundle, written by PyTorch's exporter with dynamic numbers of cases and slices."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from insula.core import scratch
from insula.core.errors import ExportError
from insula.export import pooling
from insula.model.ensemble import Ensemble
from insula.model.graphs import ExportGraph, HeadGraph
from insula.model.network import Network, Shape

OPSET = 18


def model_graph(network: Network | Ensemble, shapes: Mapping[str, Shape], clinical: int = 0) -> bytes:
    """model.onnx as bytes.

    In: for each role `<role>` (N, S, C, H, W) and `<role>_mask` (N, B, S), then `clinical` (N, D) where there is any.
    Out: `logits`, `embedding`, for each role `maps_<role>` and `weights_<role>`, and of an ensemble `members`
    (N, M, K). N is one number for all roles; S and B are each role's own.
    """
    graph = ExportGraph(network)
    n = torch.export.Dim("n", min=1, max=4096)
    example: list[torch.Tensor] = []
    dynamic: list[dict[int, Any]] = []
    for i, role in enumerate(network.roles):
        slices, bags = 3 + 2 * i, 2 + i  # no two of a size, or the exporter would take them for one
        mask = torch.zeros(2, bags, slices)
        mask[:, 0, :1], mask[:, 1, 1:] = 1.0, 1.0
        example += [torch.rand(2, slices, *shapes[role]), mask]
        s, b = torch.export.Dim(f"s{i}", min=1, max=4096), torch.export.Dim(f"b{i}", min=1, max=4096)
        dynamic += [{0: n, 1: s}, {0: n, 1: b, 2: s}]
    if network.clinical is not None:
        example.append(torch.rand(2, clinical))
        dynamic.append({0: n})
    return export_graph(graph, tuple(example), graph.inputs, graph.outputs, (tuple(dynamic),))


def head_graph(network: Network | Ensemble) -> bytes:
    """head.onnx as bytes: `embedding` and `keep` in, `logits` out."""
    features = network.heads.in_features
    n = torch.export.Dim("n", min=1, max=65536)
    example = (torch.rand(3, features), torch.ones(3, features))
    return export_graph(HeadGraph(network), example, ["embedding", "keep"], ["logits"], ({0: n}, {0: n}))


def export_graph(
    module: nn.Module, example: tuple[torch.Tensor, ...], inputs: list[str], outputs: list[str], dynamic: Any
) -> bytes:
    """Any module as ONNX bytes, weights within; `dynamic` as in `torch.onnx.export`. ExportError where it cannot be."""
    module.eval()
    with scratch.folder() as folder, warnings.catch_warnings():
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
            return _told_nothing(pooling.by_plane(onnx.load(path)))
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ExportError(
                f"The network could not be written as ONNX ({reason}); choose another encoder."
            ) from error
        finally:
            logging.disable(previous)


def _told_nothing(model: onnx.ModelProto) -> bytes:
    """The graph without the exporter's notes: they hold the paths of this machine's files, and differ by them."""
    del model.metadata_props[:]
    for graph in (model.graph, *model.functions):
        _strip(graph)
    data: bytes = model.SerializeToString()
    return data


def _strip(graph: Any) -> None:
    values = [value for name in ("value_info", "input", "output", "initializer") for value in getattr(graph, name)]
    for holder in (graph, *graph.node, *(value for value in values if not isinstance(value, str))):
        del holder.metadata_props[:]
        holder.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                _strip(inner)
