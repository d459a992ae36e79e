"""Folders like those of `insula train`, with times that the test says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.tiny_bundle import recipe

from insula.core import recipe as recipes

BEGUN = 1_790_000_000.0  # seconds since 1970


def made(
    home: Path,
    name: str,
    losses: Sequence[float],
    seconds: float = 30.0,
    epochs: int = 6,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """A run that began at BEGUN and whose epochs, one a loss, took so many seconds; facts: `run.json`, if any."""
    folder = home / name
    folder.mkdir(parents=True)
    train = {"train": {"epochs": epochs, "patience": 2}}
    content = recipe().model_dump(mode="json", by_alias=True) | train
    put(folder / "recipe.yaml", recipes.dump(recipes.parse(content, "made")), BEGUN)
    put(folder / "trained-on.json", "{}", BEGUN)
    if losses:
        curve(folder / "curves", losses, BEGUN + seconds, seconds)
    if facts is not None:
        put(folder / "run.json", json.dumps(facts), BEGUN + seconds * (len(losses) + 1))
    return folder


def curve(folder: Path, losses: Sequence[float], first_at: float, seconds: float, first: int = 0) -> None:
    """A table of curves as Lightning writes it: two lines an epoch, of validation and of training."""
    lines = ["epoch,lr,stage,step,train_loss,val_loss"]
    for number, loss in enumerate(losses, start=first):
        lines += [f"{number},,,9,,{loss}", f"{number},0.001,1.0,9,{loss + 0.1},"]
    folder.mkdir()
    put(folder / "metrics.csv", "\n".join(lines) + "\n", first_at + seconds * (len(losses) - 1))
    os.utime(folder, (first_at, first_at))


def put(path: Path, text: str, at: float) -> None:
    path.write_text(text, encoding="utf-8")
    os.utime(path, (at, at))
