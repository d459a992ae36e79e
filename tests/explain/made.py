"""A bundle of two roles with clinical columns, its graphs exported from networks with stirred weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import save as save_tensors
from tests.made_fused import SHAPES, network, recipe
from tests.tiny_bundle import parts, weights

from insula.bundle.save import save
from insula.bundle.types import Bundle, DecisionFacts, FurtherFacts
from insula.core.recipe import Recipe
from insula.core.types import FloatArray
from insula.export.onnx import head_graph, model_graph
from insula.infer.feed import Views


def settings(members: int = 1) -> Recipe:
    """The CT's slices are pooled by attention, those of the MRI by a transformer."""
    return recipe(
        pool="attention", bags="attention", dropout=0.3, roles={"mri": {"pool": "transformer"}}, members=members
    )


def bundle(folder: Path) -> Bundle:
    made = settings()
    net = network(made)
    found = parts(
        made,
        weights(1, 3),
        model_onnx=model_graph(net, SHAPES, 3),
        head_onnx=head_graph(net),
        weights=save_tensors({k: v.contiguous().clone() for k, v in net.state_dict().items()}),
        decision=DecisionFacts(
            dict.fromkeys(made.target.classes, 0.5),
            1.0,
            (0.9,) * 3,
            {n: FurtherFacts(hazards=(0.1, 0.3, 0.9) if n == "death" else ()) for n in made.further},
        ),
    )
    base = replace(found.baseline, embedding_mean=np.zeros(24), embedding_precision=np.eye(24))
    return save(folder / "bundle", replace(found, baseline=base))


def views(ct: tuple[int, ...] = (3, 2), mri: tuple[int, ...] = (4,), seed: int = 0) -> Views:
    """Random prepared slices, so many in each series."""
    draw = np.random.default_rng(seed)

    def bags(role: str, sizes: tuple[int, ...]) -> tuple[FloatArray, ...]:
        return tuple(draw.random((s, *SHAPES[role])).astype(np.float32) for s in sizes)

    return {role: b for role, b in (("ct", bags("ct", ct)), ("mri", bags("mri", mri))) if b}
