"""The probabilities of an exported model for prepared scans, with NumPy and ONNX Runtime alone.

    python predict.py ct=scan.npy               one prepared scan, (slices, channels, rows, columns), float32
    python predict.py ct=a.npy ct=b.npy         two series or slides of one patient
    python predict.py --check                   the model's own check: arrays of noise with the answer that is due

Which inputs there are and how a scan is prepared for each stands in model.json; of several inputs some may be left
out. Clinical columns are taken as unknown here; `predict` below takes them. It ends with 0 and JSON, or with 2 and
what is wrong with what was given; --check ends with 1 where another answer is found. Research use only; not a medical
device.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or it tells its maker of each model that is loaded
import onnxruntime

HERE = Path(__file__).parent


def probabilities(facts: Mapping[str, Any], logits: Any) -> dict[str, float]:
    """Class → probability of one patient, from the logits (N, K) of the patient's N inputs.

    The columns of the first target, divided by the temperature, through softmax or sigmoid, recalibrated where the
    model has a recalibration, and pooled over the inputs.
    """
    answer = facts["answer"]
    first, last = answer["columns"]
    scaled = np.asarray(logits, np.float64)[:, first:last] / answer["temperature"]
    if answer["exclusive"]:
        grown = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        rows = grown / grown.sum(axis=1, keepdims=True)
    else:
        rows = _sigmoid(scaled)
    if answer["recalibration"]:
        rows = _recalibrated(answer["recalibration"], rows, answer["exclusive"])
    pooled = _pooled(rows, answer["aggregate"], answer["power"], answer["exclusive"])
    return dict(zip(answer["classes"], pooled.tolist(), strict=True))


def feed(facts: Mapping[str, Any], scans: Mapping[str, Sequence[Any]], clinical: Any = None) -> dict[str, Any]:
    """What model.onnx takes, for one patient.

    scans: role → prepared scans (S, C, H, W); a role may be left out where there are others. clinical: numbers in the
    order of model.json, NaN where one is not known; all of them unknown by default. Raises ValueError for scans that
    the model does not take, or none: the network would answer them too.
    """
    scans = _taken(facts, scans)
    if facts["each_slice_alone"]:
        role = facts["inputs"][0]["role"]
        slices = np.concatenate(scans[role])
        return {role: slices[:, None], f"{role}_mask": np.ones((len(slices), 1, 1), np.float32)}
    found: dict[str, Any] = {}
    for one in facts["inputs"]:
        role, bags = one["role"], scans[one["role"]]
        if not bags:  # the patient has no such scan: one empty slice that belongs to no bag
            found |= {
                role: np.zeros((1, 1, *one["shape"][2:]), np.float32),
                f"{role}_mask": np.zeros((1, 1, 1), np.float32),
            }
            continue
        owner = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
        mask = (owner == np.arange(len(bags))[:, None]).astype(np.float32)
        found |= {role: np.concatenate(bags)[None], f"{role}_mask": mask[None]}
    width = len(facts["clinical"])
    if width:
        values = np.full(width, np.nan) if clinical is None else clinical
        found["clinical"] = np.asarray(values, np.float32).reshape(1, width)
    return found


def predict(folder: Path, scans: Mapping[str, Sequence[Any]], clinical: Any = None) -> dict[str, float]:
    """Class → probability of one patient by the model in `folder`; scans and clinical as `feed` takes them."""
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], feed(facts, scans, clinical))
    return probabilities(facts, logits)


def check(folder: Path) -> float:
    """The largest difference between what this script computes for the check's arrays and the answer that is due."""
    due = json.loads((folder / "model.json").read_text(encoding="utf-8"))["check"]
    scans = {role: [np.load(folder / name, allow_pickle=False)] for role, name in due["scans"].items()}
    found = predict(folder, scans)
    return float(np.max([abs(found[name] - value) for name, value in due["probabilities"].items()]))


def _taken(facts: Mapping[str, Any], scans: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The scans of every role in single precision; ValueError for one that the model cannot take."""
    shapes = {one["role"]: tuple(one["shape"][2:]) for one in facts["inputs"]}
    for role in scans:
        if role not in shapes:
            raise ValueError(f"There is no input called '{role}'; the model takes {', '.join(shapes)}.")
    if not any(len(several) for several in scans.values()):
        raise ValueError(f"There is no scan; give at least one of {', '.join(shapes)}.")
    return {
        role: [_single(scan, shape, f"Scan {n} of '{role}'") for n, scan in enumerate(scans.get(role, ()), 1)]
        for role, shape in shapes.items()
    }


def _single(scan: Any, shape: tuple[int, ...], name: str) -> Any:
    array = np.asarray(scan)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {array.dtype}, no numbers; give float32, prepared as model.json says.")
    if array.shape[1:] != shape or not len(array):
        due = ", ".join(("slices", *map(str, shape)))
        raise ValueError(f"{name} has the shape {array.shape}, and ({due}) is due; prepare it as model.json says.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity in single precision; the model takes finite numbers alone.")
    return array


def _sigmoid(x: Any) -> Any:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _recalibrated(how: Mapping[str, Any], rows: Any, exclusive: bool) -> Any:
    changed = np.empty_like(rows)
    for k, line in enumerate(how["classes"]):
        if how["how"] == "logistic":
            p = np.clip(rows[:, k], 1e-7, 1 - 1e-7)
            changed[:, k] = _sigmoid(line[0] + line[1] * (np.log(p) - np.log1p(-p)))
        else:
            places, heights = np.split(np.asarray(line), 2)
            changed[:, k] = np.interp(rows[:, k], places, heights)
    if not exclusive:
        return changed
    total = changed.sum(axis=1, keepdims=True)
    return np.where(total > 0, changed / np.where(total > 0, total, 1.0), rows)


def _pooled(rows: Any, how: str, power: float, exclusive: bool) -> Any:
    if len(rows) == 1:
        return rows[0]
    if how == "mean" or (how == "learned" and power == 1.0):
        pooled = rows.mean(axis=0)
    elif how == "max":
        pooled = rows.max(axis=0)
    elif how == "noisy_or":
        pooled = 1.0 - np.prod(1.0 - np.clip(rows, 0.0, 1.0 - 1e-12), axis=0)
    elif how == "learned":
        pooled = np.mean(np.clip(rows, 1e-300, 1.0) ** power, axis=0) ** (1.0 / power)
    else:
        votes = np.eye(rows.shape[1])[rows.argmax(axis=1)] if exclusive else rows >= 0.5
        pooled = votes.mean(axis=0)
    return pooled / pooled.sum() if exclusive else pooled


def _read(words: Sequence[str]) -> dict[str, list[Any]]:
    """The scans that role=FILE names; ValueError for a word of another kind, or a file that holds no array."""
    scans: dict[str, list[Any]] = {}
    for word in words:
        role, equals, path = word.partition("=")
        if word.startswith("-") or not equals:
            rule = "--check stands alone" if word == "--check" else "a scan is given as ROLE=FILE"
            raise ValueError(f"'{word}' is not understood: {rule}.\n\n{__doc__}")
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            why = getattr(error, "strerror", None) or "it holds no array that NumPy wrote"
            raise ValueError(f"'{path}' cannot be read ({why}); give a .npy file.") from error
        if not isinstance(array, np.ndarray):
            raise ValueError(f"'{path}' holds several arrays; give a .npy file, which holds one.")
        scans.setdefault(role, []).append(array)
    return scans


def main(words: Sequence[str]) -> int:
    """The command line."""
    if not words or list(words) in (["-h"], ["--help"]):
        (sys.stdout if words else sys.stderr).write(f"{__doc__}\n")
        return 0 if words else 2
    try:
        if list(words) == ["--check"]:
            apart = check(HERE)
            sys.stdout.write(f"largest difference {apart:.2g}\n")
            return 0 if apart < 1e-5 else 1
        found = predict(HERE, _read(words))
        if not np.isfinite(list(found.values())).all():
            raise ValueError("The model's answer to these scans is no number; prepare them as model.json says.")
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(found, indent=2, allow_nan=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
