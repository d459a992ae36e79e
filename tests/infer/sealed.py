"""Everything that a look through a bundle must leave as it was: its files, its answers, and what it was handed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tests import tiny_bundle as tiny

from insula.bundle.save import save
from insula.bundle.types import Bundle
from insula.core.types import FloatArray
from insula.infer.engine import Engine, Outputs
from insula.infer.explainer import Asked, Patch
from insula.infer.feed import Feed
from insula.infer.predict import Predictor


@dataclass(frozen=True, eq=False)
class Handed:
    """One case with every array that an explainer or a sampler may be handed; apart: copies that none of them is."""

    predictor: Predictor
    slices: FloatArray
    feed: Feed
    outputs: Outputs
    asked: Asked
    apart: Feed

    @property
    def engine(self) -> Engine:
        return self.predictor.engine

    @property
    def bundle(self) -> Bundle:
        return self.predictor.bundle


def ensemble(folder: Path, unit: str) -> Bundle:
    """The tiny bundle as an ensemble of two: its graph gives the columns of both members, whose mean they are."""
    made = tiny.parts(tiny.recipe(unit=unit), tiny.weights(1, 2))
    graph = onnx.load_from_string(made.model_onnx)
    graph.graph.initializer.append(helper.make_tensor("apart", TensorProto.FLOAT, [2, 1], [0.5, -0.5]))
    graph.graph.initializer.append(helper.make_tensor("second", TensorProto.INT64, [1], [1]))
    graph.graph.node.append(helper.make_node("Unsqueeze", ["logits", "second"], ["wide"]))
    graph.graph.node.append(helper.make_node("Add", ["wide", "apart"], ["members"]))
    graph.graph.output.append(helper.make_tensor_value_info("members", TensorProto.FLOAT, ["n", 2, 2]))
    onnx.checker.check_model(graph)
    return save(folder / "bundle", replace(made, model_onnx=graph.SerializeToString()))


def handed(bundle: Bundle, count: int = 3) -> Handed:
    """A case of so many slices, with what the bundle says of it."""
    predictor = Predictor(bundle, threads=1)
    slices, _ = predictor.prepare(tiny.volume(count, seed=3))
    asked = Asked(predictor, {"ct": (slices,)}, 1, patch=Patch(8, 8))
    feed = asked.feed
    apart = {name: array.copy() for name, array in feed.items()}
    return Handed(predictor, slices, feed, predictor.engine.run(feed), asked, apart)


def seal(case: Handed) -> dict[str, str]:
    """SHA-256 of the bundle's files and facts, of the arrays handed in, and of the engine's answer to the same case.

    The answer is asked for anew on the copies apart, so that it shows what became of the sessions alone. NumPy's random
    state is among them, since a sampler has to draw from a generator of its own.
    """
    bundle = case.bundle
    found = {f"file {p.name}": _of(p.read_bytes()) for p in sorted(bundle.path.iterdir())}
    facts = (bundle.recipe, bundle.decision, bundle.metrics, bundle.provenance, bundle.files)
    found["facts"] = _of(repr(facts).encode())
    arrays = {f"baseline {k}": v for k, v in vars(bundle.baseline).items() if isinstance(v, np.ndarray)}
    arrays |= {"slices": case.slices} | {f"feed {name}": array for name, array in case.feed.items()}
    arrays |= {f"view {name}": bag for name, bags in case.asked.views.items() for bag in bags}
    arrays |= {f"outputs {name}": array for name, array in _arrays(case.outputs).items()}
    again = case.engine.run(case.apart)
    arrays |= {f"answer {name}": array for name, array in _arrays(again).items()}
    keep = np.linspace(0.0, 2.0, again.embedding.size, dtype=np.float32).reshape(again.embedding.shape)
    arrays["answer of the heads"] = case.engine.head(again.embedding, keep)
    arrays["random"] = np.random.get_state(legacy=False)["state"]["key"]  # noqa: NPY002
    return found | {name: _of(array.tobytes()) for name, array in arrays.items()}


def _arrays(outputs: Outputs) -> dict[str, NDArray[np.float32]]:
    """Every array of a run under a name."""
    found = {"logits": outputs.logits, "embedding": outputs.embedding}
    found |= {f"map {role}": array for role, array in outputs.maps.items()}
    found |= {f"weights {role}": array for role, array in outputs.slice_weights.items()}
    return found | ({} if outputs.members is None else {"members": outputs.members})


def _of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
