"""Which of ONNX Runtime's execution providers computes: the first that starts, unless `INSULA_PROVIDERS` says it.

Single precision is asked for everywhere, since thresholds and calibration were decided on it. A provider may round
otherwise all the same, so what it computes is held against the CPU before it is used (`difference`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from insula.core import cores
from insula.core.errors import BundleError, MissingPartError, UsageError
from insula.core.log import get
from insula.core.types import FloatArray
from insula.infer.provider_names import RUNTIME as RUNTIME
from insula.infer.provider_names import tried

VARIABLE: Final = "INSULA_PROVIDERS"
TOLERANCE: Final = 1e-3
_FLOOR: Final = 1e-4  # outputs below it are compared as if they were so large


def available() -> tuple[str, ...]:
    """Short names of the installed providers, in the order in which they are tried."""
    return tried(onnxruntime.get_available_providers())


def wanted() -> tuple[str, ...]:
    """Short names of the providers to try, in order: those of `INSULA_PROVIDERS`, or else all that are installed.

    Raises UsageError for a name that is none, MissingPartError for a provider that this ONNX Runtime does not have.
    """
    names = tuple(dict.fromkeys(n.strip().lower() for n in os.environ.get(VARIABLE, "").split(",") if n.strip()))
    found = available()
    for name in names:
        if name not in RUNTIME:
            raise UsageError(f"{VARIABLE} names '{name[:40]}', and the providers are {', '.join(RUNTIME)}; mend it.")
        if RUNTIME[name] not in {RUNTIME[one] for one in found}:
            raise MissingPartError(
                f"{VARIABLE} names '{name}', and ONNX Runtime {onnxruntime.__version__} here has {', '.join(found)}; "
                "install a build of it that has this provider, or leave the name out."
            )
    return names or found


def start(
    data: bytes, name: str, names: Sequence[str], threads: int | None, spins: bool = False
) -> tuple[onnxruntime.InferenceSession, str]:
    """A session on the graph `name` and the short name of its provider: the first of `names` that starts.

    threads: CPU threads of one run; when None the runtime's choice, or as many as there are usable cores where a
    container has fewer than the machine. spins: whether threads wait for the next layer at work, where each has a core:
    those that sleep wake up as late as a layer of a small network takes. Raises BundleError where the graph cannot be
    run, UsageError where none of the names starts. ONNX Runtime itself may leave a provider out without an error, so
    what counts is what the session says of itself.
    """
    if any(n in ("tensorrt", "cuda") for n in names):
        # cuDNN's graphs and TensorRT know no option of a session against TF32, which keeps 10 bits of a number
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    whole = cores.usable()
    count = threads or (whole if whole < (os.cpu_count() or 1) else 0)
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spins and count <= whole else "0")
    # it ends with the run: a thread that spun on would slow whatever comes next
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # else bytes 4 to 8 decide, and a file that was checked as ONNX could be taken for ONNX Runtime's own format
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if count:
        options.intra_op_num_threads = count
    for i, asked in enumerate(names):
        chain: dict[str, dict[str, str]] = {}  # those that follow compute what this one cannot
        for one in names[i:]:
            chain.setdefault(RUNTIME[one], _options(one, data, threads))
        try:
            # without ONNX Runtime's own fallback, which prints to standard output and may change provider in a run
            session = onnxruntime.InferenceSession(data, options, providers=list(chain.items()), enable_fallback=0)
            used = str(session.get_providers()[0])
        except Exception as error:  # ONNX Runtime's errors have no common base but Exception
            if asked == "cpu":
                raise BundleError(
                    f"The bundle's graph '{name}' cannot be run by ONNX Runtime {onnxruntime.__version__} "
                    f"({type(error).__name__}); export the bundle again."
                ) from error
            used = ""
        if used == RUNTIME[asked]:
            return session, asked
        following = names[i + 1 : i + 2]
        get("infer").warning("provider does not start", provider=asked, instead=following[0] if following else "none")
        if following and used == RUNTIME[following[0]]:
            return session, following[0]
    raise UsageError(
        f"{VARIABLE} asks for {', '.join(names)}, and none of them starts here; mend the driver, or add cpu to it."
    )


def difference(
    session: onnxruntime.InferenceSession,
    reference: onnxruntime.InferenceSession,
    outputs: Sequence[str],
    feed: Mapping[str, FloatArray],
) -> float:
    """How far two sessions on one graph are apart: over all outputs, the largest difference of its largest value.

    Infinite where one gives what is not finite, or the first cannot run at all.
    """
    try:
        found = session.run(list(outputs), dict(feed))
    except Exception:  # noqa: BLE001  # ONNX Runtime's errors have no common base but Exception
        return float("inf")
    worst = 0.0
    for ours, right in zip(found, reference.run(list(outputs), dict(feed)), strict=True):
        if not (np.isfinite(ours).all() and np.isfinite(right).all()):
            return float("inf")
        scale = max(float(np.abs(right).max()), _FLOOR)
        worst = max(worst, float(np.abs(ours - right).max()) / scale)
    return worst


def _options(name: str, data: bytes, threads: int | None) -> dict[str, str]:
    if name == "tensorrt":
        return {"trt_fp16_enable": "0", "trt_int8_enable": "0", **_engine_cache(data)}
    if name == "cuda":
        return {"use_tf32": "0"}
    if name.startswith("openvino"):
        device = "GPU" if name == "openvino-gpu" else "CPU"
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads and device == "CPU":
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        return {"device_type": device, "load_config": json.dumps({device: settings})}
    if name == "coreml":  # without the neural engine, which computes in half precision
        return {"ModelFormat": "MLProgram", "MLComputeUnits": "CPUAndGPU"}
    return {}


def _engine_cache(data: bytes) -> dict[str, str]:
    """Where TensorRT keeps what it built of this graph: by its bytes, since TensorRT's own names leave weights out."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "insula" / "tensorrt"
    folder = root / f"{hashlib.sha256(data).hexdigest()[:32]}-{onnxruntime.__version__}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return {}  # it then builds anew at every start
    return {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
