"""Tiny trainings with one key of a recipe turned, and the list of all keys that a section has."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import lightning
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file
from tests.train import curves, made_patients
from torch import nn

from insula.core.recipe import Augment
from insula.core.recipe_section import Section
from insula.model.simple_cnn import SimpleCNN
from insula.train.fit import fit
from insula.train.run import Run

PATIENTS = made_patients.cohort(20)
CACHES = made_patients.prepared(PATIENTS)
STILL = ("train.epochs=1", *(f"train.augment.{key}={int(key in ('chance', 'moved'))}" for key in Augment.model_fields))
FILE = "@file"


@dataclass(frozen=True)
class Seen:
    """What can be seen of a training: its run, the lines that were said, and how often the encoders were asked."""

    run: Run
    lines: tuple[str, ...]
    calls: int


def weights(seen: Seen) -> Hashable:
    """The weights that were kept."""
    return seen.run.weights_sha256


def parameters(seen: Seen) -> Hashable:
    """How many parameters the network has."""
    return sum(p.numel() for p in seen.run.network.parameters())


def epochs(seen: Seen) -> Hashable:
    """How many epochs were run."""
    return seen.run.epochs


def losses(seen: Seen) -> Hashable:
    """The losses of each epoch, which show what happened after the epoch that was kept."""
    return tuple((line["train_loss"], line["val_loss"]) for line in curves.read(seen.run.folder))


def calls(seen: Seen) -> Hashable:
    """How often pictures went through the encoders."""
    return seen.calls


def told(seen: Seen) -> Hashable:
    """The precision that the run names."""
    return str(json.loads((seen.run.folder / "run.json").read_text(encoding="utf-8"))["precision"])


@dataclass(frozen=True)
class Turn:
    """How a key is turned: its values, one a training; what else is set; and what must differ between all of them.

    values: those of the annotation where it is a choice. form: the override, with @ for the value.
    """

    values: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    form: str = ""
    seen: Callable[[Seen], Hashable] = weights


class _Calls(Callback):
    """Counts how often the first convolution of an encoder is run in training."""

    def __init__(self) -> None:
        self.count = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        for encoder in pl_module.network.encoders.values():  # type: ignore[operator, union-attr]
            first = next(m for m in encoder.modules() if isinstance(m, nn.Conv2d))
            first.register_forward_hook(self._one)

    def _one(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.count += module.training


def train(folder: Path, *overrides: str) -> Seen:
    """One training of two inputs, clinical columns and three targets, without augmentation unless it is asked for."""
    lines: list[str] = []
    count = _Calls()
    settings = made_patients.recipe(*STILL, *overrides)
    run = fit(PATIENTS, settings, folder, folder, prepared=CACHES, say=lines.append, callbacks=(count,))
    return Seen(run, tuple(lines), count.count)


def weights_file(path: Path) -> Path:
    """Weights of the encoder from elsewhere."""
    save_file({k: v + 0.01 for k, v in SimpleCNN(1).state_dict().items() if v.is_floating_point()}, path)
    return path


def keys(section: type[Section], name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every key under a section by its dotted name, with its choices where it has any.

    `[]` stands for an item of a list, `{}` for one of a mapping.
    """
    for key, field in section.model_fields.items():
        yield from _walked(field.annotation, f"{name}.{key}")


def _walked(annotation: Any, name: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield from keys(annotation, name)
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        yield name, tuple(map(str, inner))
        return
    sections = [part for part in inner if _holds_section(part)]
    if not sections:
        choices = [found for part in inner for _, found in _walked(part, name) if found and origin is not tuple]
        yield name, choices[0] if choices else ()
        return
    mark = "{}" if origin in (dict, Mapping) else "[]" if origin is tuple else ""
    for part in sections:
        yield from _walked(part, f"{name}{mark}")


def _holds_section(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, Section)
    return any(_holds_section(part) for part in get_args(annotation))
