"""The probabilities of an exported model for prepared scans, with NumPy and ONNX Runtime alone.

    python predict.py ct=scan.npy               one prepared scan, (slices, channels, rows, columns), float32
    python predict.py ct=a.npy ct=b.npy         two series or slides of one patient
    python predict.py --check                   the model's own check: arrays of noise with the answer that is due

Which inputs there are and how a scan is prepared for each stands in model.json. Clinical columns are taken as unknown
here; `predict` below takes them. Research use only; not a medical device.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    order of model.json, NaN where one is not known; all of them unknown by default.
    """
    if facts["each_slice_alone"]:
        role = facts["inputs"][0]["role"]
        slices = np.concatenate([np.asarray(scan, np.float32) for scan in scans[role]])
        return {role: slices[:, None], f"{role}_mask": np.ones((len(slices), 1, 1), np.float32)}
    found: dict[str, Any] = {}
    for one in facts["inputs"]:
        role, bags = one["role"], [np.asarray(scan, np.float32) for scan in scans.get(one["role"], ())]
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
    scans = {role: [np.load(folder / name)] for role, name in due["scans"].items()}
    found = predict(folder, scans)
    return float(max(abs(found[name] - value) for name, value in due["probabilities"].items()))


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


def main(words: Sequence[str]) -> int:
    """The command line."""
    if list(words) == ["--check"]:
        apart = check(HERE)
        sys.stdout.write(f"largest difference {apart:.2g}\n")
        return 0 if apart < 1e-5 else 1
    scans: dict[str, list[Any]] = {}
    for word in words:
        role, equals, path = word.partition("=")
        if not equals:
            sys.stderr.write(f"{__doc__}\n")
            return 2
        scans.setdefault(role, []).append(np.load(path))
    sys.stdout.write(json.dumps(predict(HERE, scans), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
