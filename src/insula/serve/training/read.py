"""What one run's files say: how far it is, how well, and whether it is still at work."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from insula.core import recipe as recipes
from insula.core import yaml_text
from insula.core.errors import InsulaError
from insula.core.recipe import Recipe
from insula.serve.training import find

State = Literal["at work", "done", "stopped"]
Kind = Literal["training", "pretraining"]
QUIET: Final = 600.0  # seconds without a line after which a run counts as stopped, where its epochs are no longer
_EPOCHS: Final = 4.0  # of its own epochs without a line
_MOST_BYTES: Final = 16 << 20
_MOST_EPOCHS: Final = 10**9
_MOST_NESTED: Final = 50  # a recipe has four levels; libyaml's own loader ends the process at a great many
_LAST: Final = 253_402_300_799.0  # the last second of the year 9999, after which there is no datetime
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Epoch:
    """One epoch, counted from 1. values: what was logged, as `train_loss`, `val_loss`, `lr`, `stage`."""

    number: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """A run as its files have it.

    begun, last: when it began (or was resumed) and wrote last. most: epochs that its recipe allows. patience: epochs
    without a lower validation loss after which it stops, None where it does not. best: the epoch of the lowest
    validation loss. seconds: of one epoch, by the times of its files. facts: of its record, once it is done. faults:
    its files that cannot be read, as `curves/metrics.csv`.
    """

    name: str
    kind: Kind
    state: State
    recipe: str
    question: str
    begun: datetime
    last: datetime
    epochs: tuple[Epoch, ...]
    most: int | None
    patience: int | None
    best: Epoch | None
    seconds: float | None
    facts: Mapping[str, Any]
    faults: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Epochs that are over."""
        return self.epochs[-1].number if self.epochs else 0

    @property
    def since_best(self) -> int | None:
        """Epochs since the best one."""
        return self.done - self.best.number if self.best else None

    @property
    def seconds_left(self) -> float | None:
        """At most, for all epochs that the recipe allows; None where it is not at work or cannot be told."""
        if self.state != "at work" or self.seconds is None or self.most is None:
            return None
        return self.seconds * max(0, self.most - self.done)


def read(home: Path, name: str, at: datetime) -> Run:
    """A run by its name, as it is at an instant; what of it cannot be read is named among its faults.

    Raises RequestError 404 for one that is not there, OSError for one that is taken away meanwhile.
    """
    folder = find.folder_of(home, name)
    parts = find.parts_of(folder)
    tables, faults = _tables(parts)
    epochs = _epochs(tables)
    kind, (facts, unread) = _kind(folder), _record(folder)
    recipe = _recipe(folder / find.RECIPE, _stamp(folder / find.RECIPE))
    last = find.last_sign(folder)
    newest = len(epochs) if len(parts) < 2 else len(_epochs(tables[-1:]))
    told = facts.get("epochs")
    whole = isinstance(told, int) and told >= (epochs[-1].number if epochs else 0)
    seconds = _seconds(parts, newest)
    quiet = at.timestamp() - last > max(QUIET, _EPOCHS * (seconds or 0.0))
    losses = [one for one in epochs if math.isfinite(one.values.get("val_loss", math.nan))]
    return Run(
        name=name,
        kind=kind,
        state="done" if whole else "stopped" if quiet else "at work",
        recipe=recipe.name if recipe else "",
        question=recipe.question if recipe else "",
        begun=_moment((folder / find.RECIPE).stat().st_mtime),
        last=_moment(last),
        epochs=epochs,
        most=None if recipe is None else _most(recipe, kind),
        patience=recipe.train.patience if recipe and kind == "training" else None,
        best=min(losses, key=lambda one: one.values["val_loss"], default=None),
        seconds=seconds,
        facts=facts,
        faults=(*([] if recipe else [find.RECIPE]), *faults, *unread),
    )


def _tables(parts: list[Path]) -> tuple[list[list[dict[str, float]]], list[str]]:
    """The rows of each part's table, and the names of the tables that cannot be read, which have none."""
    found: list[list[dict[str, float]]] = []
    faults: list[str] = []
    for part in parts:
        try:
            found.append(_rows(part))
        except (csv.Error, _TooLongError):
            found.append([])
            faults.append(f"{part.parent.name}/{part.name}")
    return found, faults


def _epochs(tables: list[list[dict[str, float]]]) -> tuple[Epoch, ...]:
    """The epochs of all parts; where a resumed part did some again, its lines count."""
    found: dict[int, dict[str, float]] = {}
    for rows in tables:
        again: set[int] = set()
        for row in rows:
            number = int(row["epoch"]) + 1
            if number not in again:
                again.add(number)
                found[number] = {}
            found[number] |= {name: value for name, value in row.items() if name != "epoch"}
    return tuple(Epoch(number, found[number]) for number in sorted(found))


class _TooLongError(Exception):
    """A file that is too long to be read for a page."""


def _rows(path: Path) -> list[dict[str, float]]:
    """The lines of a table that name their epoch: column → number; a line that is still being written is left out.

    Raises csv.Error for what is no table, _TooLongError.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise _TooLongError
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        header, *lines = list(csv.reader(stream)) or [[]]
    made = []
    for line in lines:
        row = {name: value for name, said in zip(header, line, strict=False) if (value := _number(said)) is not None}
        row.pop("step", None)
        if len(line) == len(header) and 0 <= row.get("epoch", -1.0) < _MOST_EPOCHS:
            made.append(row)
    return made


def _number(said: str) -> float | None:
    try:
        return float(said)
    except ValueError:
        return None


def _kind(folder: Path) -> Kind:
    known = any(find.is_file(folder / name) for name in ("trained-on.json", "run.json"))
    return "training" if known else "pretraining"


def _record(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What a run says of itself once it is done, and the names of records that cannot be read."""
    faults: list[str] = []
    for name in find.RECORDS:
        path = folder / name
        if find.is_file(path):
            facts = _json(path)
            if isinstance(facts, dict):
                return facts, faults
            faults.append(name)
    return {}, faults


def _json(path: Path) -> Any:
    """What a file holds, None where it is no JSON, nested too deeply or too long."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _MOST_BYTES else None
    except (ValueError, RecursionError):
        return None


def _seconds(parts: list[Path], lines: int) -> float | None:
    """Seconds of an epoch: from the making of the newest table, at the end of the first, to its last line."""
    if not parts or lines < 2:
        return None
    took = parts[-1].stat().st_mtime - parts[-1].parent.stat().st_mtime
    return took / (lines - 1) if took > 0 else None


def _most(recipe: Recipe, kind: Kind) -> int:
    return recipe.train.total_epochs if kind == "training" else recipe.pretrain.epochs


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=512)
def _recipe(path: Path, stamp: tuple[int, int]) -> Recipe | None:
    """A run's recipe, None for one that this version does not read; remembered as long as the file is the same."""
    if stamp[1] > _MOST_BYTES:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        if _is_deep(text):
            return None
        content = yaml_text.read(text, _LOADER)
        return recipes.parse(content, path.name) if isinstance(content, dict) else None
    except (InsulaError, yaml.YAMLError, ValueError):
        return None


def _is_deep(text: str) -> bool:
    """Whether a YAML text is nested more than _MOST_NESTED deep; what it says is not built, nor read to its end."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MOST_NESTED:
            return True
    return False


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(min(max(seconds, 0.0), _LAST), UTC)
