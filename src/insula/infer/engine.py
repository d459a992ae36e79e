"""Running a bundle's two graphs on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from insula.bundle.load import read_verified
from insula.bundle.types import Bundle
from insula.core.errors import BundleError, UnsuitableScanError
from insula.core.log import get
from insula.core.types import FloatArray

CHUNK: Final = 16
HEAD_CHUNK: Final = 4096
PROVIDERS: Final = ("CUDAExecutionProvider", "CPUExecutionProvider")
_OUTPUTS: Final = ("logits", "embedding", "maps", "slice_weights")


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the model graph gives: logits (N, K), embedding (N, E), maps (N, K, S, h, w), slice_weights (N, S)."""

    logits: FloatArray
    embedding: FloatArray
    maps: FloatArray
    slice_weights: FloatArray


class Engine:
    """The two graphs of one bundle, ready to run; safe to call from several threads.

    threads: CPU threads of one run, ONNX Runtime's choice when None. provider: the execution provider in use; the
    first of `PROVIDERS` that is installed and starts, the CPU in the end.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        self._start(
            read_verified(bundle, "model.onnx"), read_verified(bundle, "head.onnx"), bundle.recipe.role, threads
        )

    @classmethod
    def of_graphs(cls, model: bytes, head: bytes, role: str, threads: int | None = None) -> Engine:
        """An engine on two graphs that are not in a bundle yet."""
        engine = cls.__new__(cls)
        engine._start(model, head, role, threads)
        return engine

    def _start(self, model: bytes, head: bytes, role: str, threads: int | None) -> None:
        self._model, self.provider = _session(model, "model.onnx", threads)
        self._head, _ = _session(head, "head.onnx", threads)
        self._names = (role, f"{role}_mask")
        shapes = _check_ends(self._model, "model.onnx", self._names, _OUTPUTS)
        _check_ends(self._head, "head.onnx", ("embedding", "keep"), ("logits",))
        if len(shapes[role]) != 5:
            raise BundleError(f"The graph 'model.onnx' takes {len(shapes[role])} dimensions for '{role}', not 5.")
        self.input_shape: tuple[int | None, ...] = tuple(d if isinstance(d, int) else None for d in shapes[role])

    def run(self, array: FloatArray, mask: FloatArray) -> Outputs:
        """Run the network on array (N, S, C, H, W) and mask (N, S), 1 for a slice and 0 for padding.

        N is worked through in chunks. Raises UnsuitableScanError when the shapes do not fit the network or each other,
        BundleError when the network gives values that are not finite.
        """
        self._check_input(array, mask)
        size = max(1, CHUNK // array.shape[1])
        parts = [self._run(array[i : i + size], mask[i : i + size]) for i in range(0, len(array), size)]
        logits, embedding, maps, weights = (
            column[0] if len(parts) == 1 else np.concatenate(column) for column in zip(*parts, strict=True)
        )
        if not (np.isfinite(logits).all() and np.isfinite(embedding).all()):
            raise BundleError("The network gave values that are not finite; train or export the bundle again.")
        return Outputs(logits, embedding, maps, weights)

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
        _, _, c, h, w = self.input_shape
        self.run(np.zeros((1, 1, c or 1, h or 64, w or 64), np.float32), np.ones((1, 1), np.float32))

    def _run(self, array: FloatArray, mask: FloatArray) -> list[FloatArray]:
        feed = dict(zip(self._names, (_f32(array), _f32(mask)), strict=True))
        return _call(self._model, "model.onnx", _OUTPUTS, feed)

    def _check_input(self, array: FloatArray, mask: FloatArray) -> None:
        if array.ndim != 5 or 0 in array.shape:
            raise UnsuitableScanError(
                f"The prepared scan has the shape {array.shape}, and the network takes (N, S, C, H, W) with at least "
                "one slice; check the recipe's prep steps."
            )
        if mask.shape != array.shape[:2]:
            raise UnsuitableScanError(
                f"The mask {mask.shape} does not fit the slices {array.shape[:2]}; give one value a slice."
            )
        for got, wanted, what in zip(array.shape, self.input_shape, "NSCHW", strict=True):
            if what in "CHW" and wanted is not None and got != wanted:
                raise UnsuitableScanError(
                    f"The prepared scan is {array.shape[2:]} (channels, height, width), and the network takes "
                    f"{self.input_shape[2:]}; check the recipe's prep steps."
                )


def _session(data: bytes, name: str, threads: int | None) -> tuple[onnxruntime.InferenceSession, str]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if threads:
        options.intra_op_num_threads = threads
    available = set(onnxruntime.get_available_providers())
    wanted = [p for p in PROVIDERS if p in available]
    while True:
        try:
            session = onnxruntime.InferenceSession(data, options, providers=wanted)
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            if len(wanted) > 1:
                get("infer").warning("provider does not start", provider=wanted[0], instead=wanted[1])
                wanted = wanted[1:]
                continue
            raise BundleError(
                f"The bundle's graph '{name}' cannot be run by ONNX Runtime {onnxruntime.__version__} "
                f"({type(error).__name__}); export the bundle again."
            ) from error
        return session, str(session.get_providers()[0])


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
