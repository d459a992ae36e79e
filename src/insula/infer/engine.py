"""Running a bundle's two graphs on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from insula.bundle.load import read_verified
from insula.bundle.types import Bundle
from insula.core.errors import BundleError, UnsuitableScanError, UsageError
from insula.core.log import get
from insula.core.recipe import Recipe
from insula.core.types import FloatArray
from insula.infer import providers

CHUNK: Final = 16
HEAD_CHUNK: Final = 4096


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the model graph gives: logits (N, K) of all targets' columns and embedding (N, E); by role, maps
    (N, K, S, h, w) and slice_weights (N, S). members (N, M, K): columns of each member, of an ensemble that gives them.
    """

    logits: FloatArray
    embedding: FloatArray
    maps: Mapping[str, FloatArray]
    slice_weights: Mapping[str, FloatArray]
    members: FloatArray | None = None


class Engine:
    """The two graphs of one bundle, ready to run; safe to call from several threads.

    threads: CPU threads of one run, ONNX Runtime's choice when None. spins: whether they keep their cores busy between
    two layers, up to the end of the run: as fast as can be alone, and slower where others need the cores. provider:
    ONNX Runtime's name of the execution provider in use (`infer.providers`); the head, one small product, is always the
    CPU's. available: the providers that are installed, in the order in which they are tried. difference: how far the
    provider is from the CPU on a made input, relative; None on the CPU itself. input_shapes: role → (C, H, W).
    clinical: how many numbers the clinical columns of a case take.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, spins: bool = True) -> None:
        model, head = (read_verified(bundle, name) for name in ("model.onnx", "head.onnx"))
        self._start(model, head, bundle.recipe, threads, spins)

    @classmethod
    def of_graphs(cls, model: bytes, head: bytes, recipe: Recipe, threads: int | None = None) -> Engine:
        """An engine on two graphs that are not in a bundle yet."""
        engine = cls.__new__(cls)
        engine._start(model, head, recipe, threads, spins=True)
        return engine

    def _start(self, model: bytes, head: bytes, recipe: Recipe, threads: int | None, spins: bool) -> None:
        names = providers.wanted()
        self._model, used = providers.start(model, "model.onnx", names, threads, spins)
        self._head, _ = providers.start(head, "head.onnx", ("cpu",), threads)
        self.roles = tuple(recipe.inputs)
        self._inputs = [name for role in self.roles for name in (role, f"{role}_mask")]
        self._inputs += ["clinical"] if recipe.clinical else []
        by_role = [name for role in self.roles for name in (f"maps_{role}", f"weights_{role}")]
        given = {output.name for output in self._model.get_outputs()}
        self._outputs = ("logits", "embedding", *by_role, *(("members",) if "members" in given else ()))
        shapes = _check_ends(self._model, "model.onnx", self._inputs, self._outputs)
        _check_ends(self._head, "head.onnx", ("embedding", "keep"), ("logits",))
        self.input_shapes: dict[str, tuple[int, int, int]] = {}
        for role in self.roles:
            sides = shapes[role][2:]
            if len(shapes[role]) != 5 or not all(isinstance(side, int) for side in sides):
                raise BundleError(
                    f"The graph 'model.onnx' takes {shapes[role]} for '{role}', and (N, S, C, H, W) with fixed C, H "
                    "and W is the rule; export the bundle again."
                )
            self.input_shapes[role] = (sides[0], sides[1], sides[2])
        self.clinical = sum(column.width for column in recipe.clinical.values())
        if self.clinical and shapes["clinical"][1:] != [self.clinical]:
            raise BundleError(
                f"The graph 'model.onnx' takes clinical columns of the shape {shapes['clinical']}, and the recipe has "
                f"{self.clinical} numbers a case; export the bundle again."
            )
        self.difference: float | None = None
        if used != "cpu":
            used = self._hold_against_cpu(model, used, names, threads, spins)
        self.provider = providers.RUNTIME[used]
        self.available = tuple(providers.RUNTIME[name] for name in providers.available())

    def run(self, feed: Mapping[str, FloatArray]) -> Outputs:
        """Run the network on each role's slices (N, S, C, H, W) and `<role>_mask` (N, B, S), and on `clinical` (N, D).

        N is worked through in chunks. Raises UnsuitableScanError when the shapes do not fit the network or each other,
        BundleError when the network gives values that are not finite.
        """
        self._check_input(feed)
        count = len(feed[self.roles[0]])
        size = max(1, CHUNK // max(feed[role].shape[1] for role in self.roles))
        parts = [self._run({k: v[i : i + size] for k, v in feed.items()}) for i in range(0, count, size)]
        columns = [one[0] if len(parts) == 1 else np.concatenate(one) for one in zip(*parts, strict=True)]
        found = dict(zip(self._outputs, columns, strict=True))
        if not (np.isfinite(found["logits"]).all() and np.isfinite(found["embedding"]).all()):
            raise BundleError("The network gave values that are not finite; train or export the bundle again.")
        return Outputs(
            found["logits"],
            found["embedding"],
            {role: found[f"maps_{role}"] for role in self.roles},
            {role: found[f"weights_{role}"] for role in self.roles},
            found.get("members"),
        )

    def head(self, embedding: FloatArray, keep: FloatArray) -> FloatArray:
        """Logits (N, K) of embeddings (N, E) under dropout multipliers (N, E): 0 or 1/(1 - p), all ones for none."""
        if embedding.ndim != 2 or embedding.shape != keep.shape:
            raise ValueError(f"embedding {embedding.shape} and keep {keep.shape} must be one shape (N, E)")
        parts = []
        for i in range(0, len(embedding), HEAD_CHUNK):
            feed = {"embedding": _f32(embedding[i : i + HEAD_CHUNK]), "keep": _f32(keep[i : i + HEAD_CHUNK])}
            parts.append(_call(self._head, "head.onnx", ("logits",), feed)[0])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def warm(self) -> None:
        """One run on zeros, so that the first patient does not wait for the runtime's preparations."""
        feed: dict[str, FloatArray] = {}
        for role, shape in self.input_shapes.items():
            feed |= {role: np.zeros((1, 1, *shape), np.float32), f"{role}_mask": np.ones((1, 1, 1), np.float32)}
        if self.clinical:
            feed["clinical"] = np.full((1, self.clinical), np.nan, np.float32)
        self.run(feed)

    def _hold_against_cpu(self, model: bytes, used: str, names: Sequence[str], threads: int | None, spins: bool) -> str:
        """The provider to go on with: the one in use, or the CPU where that computes something else."""
        reference, _ = providers.start(model, "model.onnx", ("cpu",), threads, spins)
        apart = providers.difference(self._model, reference, self._outputs, self._made_input())
        if apart <= providers.TOLERANCE:
            get("infer").info("provider holds against the CPU", provider=used, difference=apart)
            self.difference = apart
            return used
        if "cpu" not in names:
            raise UsageError(
                f"The provider '{used}' differs from the CPU by {apart:.2g} of the largest value, and "
                f"{providers.TOLERANCE:g} is the most, since the bundle was decided on the CPU's numbers; change "
                f"{providers.VARIABLE}."
            )
        get("infer").warning("provider computes something else", provider=used, difference=apart, instead="cpu")
        self._model = reference
        return "cpu"

    def _made_input(self) -> dict[str, FloatArray]:
        """Two cases of three slices of noise; the second lacks a slice of each role and all of its clinical columns."""
        draw = np.random.default_rng(0)
        feed: dict[str, FloatArray] = {}
        for role, shape in self.input_shapes.items():
            mask = np.ones((2, 1, 3), np.float32)
            mask[1, 0, 2] = 0.0
            feed |= {role: draw.random((2, 3, *shape), np.float32), f"{role}_mask": mask}
        if self.clinical:
            feed["clinical"] = np.stack([np.ones(self.clinical), np.full(self.clinical, np.nan)]).astype(np.float32)
        return feed

    def _run(self, feed: Mapping[str, FloatArray]) -> list[FloatArray]:
        return _call(self._model, "model.onnx", self._outputs, {k: _f32(v) for k, v in feed.items()})

    def _check_input(self, feed: Mapping[str, FloatArray]) -> None:
        if set(feed) != set(self._inputs):
            raise UnsuitableScanError(f"The network takes {self._inputs}, and it was given {sorted(feed)}.")
        if len({len(array) for array in feed.values()}) != 1:
            raise UnsuitableScanError("The inputs of the network hold different numbers of cases.")
        for role in self.roles:
            self._check_role(role, feed[role], feed[f"{role}_mask"])
        if self.clinical and feed["clinical"].shape[1:] != (self.clinical,):
            raise UnsuitableScanError(
                f"The clinical columns have the shape {feed['clinical'].shape}, and the network takes {self.clinical} "
                "numbers a case; predict with the recipe of this bundle."
            )

    def _check_role(self, role: str, array: FloatArray, mask: FloatArray) -> None:
        if array.ndim != 5 or 0 in array.shape:
            raise UnsuitableScanError(
                f"The prepared scan has the shape {array.shape}, and the network takes (N, S, C, H, W) with at least "
                "one slice; check the recipe's prep steps."
            )
        if mask.ndim != 3 or (mask.shape[0], mask.shape[2]) != array.shape[:2] or mask.shape[1] == 0:
            raise UnsuitableScanError(
                f"The mask {mask.shape} does not fit the slices {array.shape[:2]}; give one value a slice and bag."
            )
        if array.shape[2:] != self.input_shapes[role]:
            raise UnsuitableScanError(
                f"The prepared scan is {array.shape[2:]} (channels, height, width), and the network takes "
                f"{self.input_shapes[role]}; check the recipe's prep steps."
            )


def _check_ends(
    session: onnxruntime.InferenceSession, name: str, inputs: Sequence[str], outputs: Sequence[str]
) -> dict[str, list[Any]]:
    found = {i.name: i for i in session.get_inputs()}
    given = {o.name for o in session.get_outputs()}
    if set(found) != set(inputs) or not set(outputs) <= given or any(i.type != "tensor(float)" for i in found.values()):
        raise BundleError(
            f"The bundle's graph '{name}' takes {sorted(found)} and gives {sorted(given)}, and float32 {list(inputs)} "
            f"to {list(outputs)} is the rule; export the bundle again."
        )
    return {i.name: list(i.shape) for i in found.values()}


def _call(
    session: onnxruntime.InferenceSession, name: str, outputs: Sequence[str], feed: dict[str, NDArray[np.float32]]
) -> list[FloatArray]:
    try:
        result: list[FloatArray] = session.run(list(outputs), feed)
    except Exception as error:  # ONNX Runtime's errors have no common base but Exception
        shapes = {k: v.shape for k, v in feed.items()}
        raise UnsuitableScanError(
            f"The network '{name}' could not run on {shapes} ({type(error).__name__}); the scan may be too large: "
            "add a 'pick_slices' or 'resize' step to the recipe."
        ) from error
    return result


def _f32(array: FloatArray) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
