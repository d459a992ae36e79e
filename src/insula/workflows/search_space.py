"""What a search may change: keys of a recipe with a range or a list of values, checked before the first trial."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from pydantic import ValidationError

from insula.core import recipe as recipes
from insula.core import yaml_text
from insula.core.errors import RecipeError, TrainingError
from insula.core.recipe import Recipe
from insula.core.yaml_text import YamlTextError
from insula.prep.check import checked

_TRIED = 200  # combinations that are tried before it is said that none can be loaded
_MOST = 10_000  # points of a grid
_RANGE = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; log draws evenly in the logarithm. step: None for any number."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def ends(self) -> tuple[Any, ...]:
        """The two ends."""
        return tuple(int(v) if self.whole else v for v in (self.low, self.high))

    def suggest(self, trial: optuna.Trial, key: str) -> Any:
        """A value of this trial."""
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def grid(self) -> list[Any] | None:
        """Every value, or None where there is no end of them."""
        step = self.step or (1.0 if self.whole and not self.log else None)
        if step is None:
            return None
        values = [self.low + i * step for i in range(math.floor((self.high - self.low) / step + 1e-9) + 1)]
        return [int(v) if self.whole else v for v in values]


@dataclass(frozen=True)
class Choices:
    """A list of values; what is no plain value goes into the store as JSON."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[Any, ...]:
        """What stands for each value in the store."""
        return tuple(v if v is None or isinstance(v, str | int | float | bool) else _json(v) for v in self.values)

    def ends(self) -> tuple[Any, ...]:
        """All values."""
        return self.values

    def suggest(self, trial: optuna.Trial, key: str) -> Any:
        """A value of this trial."""
        return self.of(trial.suggest_categorical(key, self.labels))

    def grid(self) -> list[Any] | None:
        """What stands for each value."""
        return list(self.labels)

    def of(self, label: Any) -> Any:
        """The value that a label stands for."""
        pairs = zip(self.values, self.labels, strict=True)
        return next(value for value, own in pairs if type(own) is type(label) and own == label)


Space = Mapping[str, Range | Choices]


def load(path: Path) -> dict[str, Range | Choices]:
    """The space in a YAML file: key of a recipe → {low, high, log, step} or {choices: [...]}.

    Raises RecipeError that names the key, the value and the rule.
    """
    try:
        content = yaml_text.read(path.read_text(encoding="utf-8"))
    except (YamlTextError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"Search space '{path}' is not valid YAML ({' '.join(str(error).split())}); mend the file."
        ) from error
    if not isinstance(content, dict) or not content:
        raise RecipeError(f"Search space '{path}' holds no keys; write e.g. 'train.lr: {{low: 1e-5, high: 1e-2}}'.")
    for key in content:
        outer = next((other for other in content if str(key).startswith(f"{other}.")), None)
        if outer is not None:
            raise RecipeError(f"Search space '{path}' has '{outer}' and within it '{key}'; keep one of the two.")
    return {str(key): _entry(str(key), value) for key, value in content.items()}


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """A value for each key."""
    return {key: entry.suggest(trial, key) for key, entry in space.items()}


def decoded(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """The values of a finished trial, from what the store holds."""
    found = {}
    for key, entry in space.items():
        if key in params:
            found[key] = entry.of(params[key]) if isinstance(entry, Choices) else params[key]
    return found


def grid(space: Space) -> dict[str, list[Any]]:
    """Every value of each key, for a grid; RecipeError where a key has no end of values, or there are too many."""
    found = {key: entry.grid() for key, entry in space.items()}
    for key, values in found.items():
        if values is None:
            raise RecipeError(f"A grid needs the values of '{key}': give it a step or choices, or take --sampler tpe.")
    made = {key: values for key, values in found.items() if values is not None}
    size = math.prod(len(values) for values in made.values())
    if size > _MOST:
        raise RecipeError(f"The grid has {size} points, and {_MOST} are the most; take --sampler random or tpe.")
    return made


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with some keys changed; RecipeError for a key or a value that it does not take."""
    content = recipe.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        place = content
        *parents, last = key.split(".")
        for part in parents:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RecipeError(f"Key '{key}' goes into '{part}', which is no section of this recipe; check the key.")
            place = inner
        place[last] = value
    return checked(recipes.parse(content, recipe.name))


def check(space: Space, recipe: Recipe, seed: int = 0) -> dict[str, Range | Choices]:
    """The space with whole numbers where the recipe wants them, once it is sure that trials can be loaded.

    Refused with RecipeError: a key that the recipe does not have, a value out of the key's range (each choice and both
    ends of a range are tried by themselves), an encoder that does not exist, and a space of which none of many drawn
    combinations can be loaded.
    """
    found = {key: _whole(key, entry, recipe) for key, entry in space.items()}
    for key, entry in found.items():
        for value in entry.ends():
            if reason := _refused(key, value, recipe):
                raise RecipeError(f"Search space, key '{key}': no trial with {value!r} could be loaded. {reason}")
    draw = np.random.default_rng(seed)
    corners = [entry.ends() for entry in found.values()]
    combinations: Iterable[tuple[Any, ...]]
    if math.prod(len(c) for c in corners) <= _TRIED:
        combinations = itertools.product(*corners)
    else:
        combinations = [tuple(c[int(draw.integers(len(c)))] for c in corners) for _ in range(_TRIED)]
    last: RecipeError | None = None
    for values in combinations:
        try:
            with_values(recipe, dict(zip(found, values, strict=True)))
        except RecipeError as error:
            last = error
        else:
            return found
    raise RecipeError(f"None of the combinations that were tried could be loaded; the last one: {last}") from last


def _entry(key: str, value: Any) -> Range | Choices:
    rule = "write {low: …, high: …, log: true, step: …} or {choices: […]}"
    if not isinstance(value, dict):
        raise RecipeError(f"Search space, key '{key}' = {value!r}: {rule}.")
    if "choices" in value:
        given = value["choices"]
        if set(value) != {"choices"} or not isinstance(given, list) or len(given) < 2:
            raise RecipeError(f"Search space, key '{key}': choices is a list of two values or more, and stands alone.")
        choices = Choices(tuple(given))
        if len({(type(v), v) for v in choices.labels}) != len(given):
            raise RecipeError(f"Search space, key '{key}': choices {given} repeat a value; remove it.")
        return choices
    if not {"low", "high"} <= set(value) <= _RANGE:
        raise RecipeError(f"Search space, key '{key}' has {', '.join(map(str, value)) or 'nothing'}; {rule}.")
    log = value.get("log", False)
    low, high = _number(key, "low", value["low"]), _number(key, "high", value["high"])
    step = None if value.get("step") is None else _number(key, "step", value["step"])
    if not isinstance(log, bool):
        raise RecipeError(f"Search space, key '{key}', log = {log!r}: write true or false.")
    if not low < high:
        raise RecipeError(f"Search space, key '{key}': low {low:g} must be below high {high:g}.")
    if log and (low <= 0 or step is not None):
        raise RecipeError(f"Search space, key '{key}': log needs a low above 0, and no step.")
    if step is not None and not 0 < step <= high - low:
        raise RecipeError(f"Search space, key '{key}': step {step:g} must lie between 0 and {high - low:g}.")
    if step is not None:
        high = low + step * math.floor((high - low) / step + 1e-9)
    return Range(low, high, log, step)


def _number(key: str, name: str, value: Any) -> float:
    """YAML takes 1e-5 for a text, since it lacks the point."""
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(f"Search space, key '{key}', {name} = {value!r}: give a number.")
    return number


def _whole(key: str, entry: Range | Choices, recipe: Recipe) -> Range | Choices:
    """A range as the recipe's key takes it: whole numbers only, where a broken one is refused."""
    if isinstance(entry, Choices):
        return entry
    numbers = (entry.low, entry.high, *(() if entry.step is None else (entry.step,)))
    if not all(v.is_integer() for v in numbers):
        return entry
    middle = math.floor((entry.low + entry.high) / 2) + 0.5
    return replace(entry, whole=bool(_refused(key, middle, recipe)))


def _refused(key: str, value: Any, recipe: Recipe) -> str:
    """Why this value of the key cannot be, whatever the other keys are; empty where it can."""
    path = tuple(key.split("."))
    try:
        with_values(recipe, {key: value})
    except RecipeError as error:
        cause = error.__cause__
        if not isinstance(cause, ValidationError):
            return str(error)
        places = [tuple(str(part) for part in found["loc"]) for found in cause.errors()]
        return str(error) if any(place[: len(path)] == path for place in places) else ""
    if path[0] == "model" and path[-1] == "encoder":
        return _unknown_encoder(str(value))
    return ""


def _unknown_encoder(name: str) -> str:
    import timm

    from insula.model.encoders import ENCODERS

    if name in ENCODERS:
        return ""
    try:
        return "" if timm.is_model(name) else f"There is no encoder '{name}'; see docs/models.md for names."
    except (TrainingError, ValueError) as error:
        return str(error)


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
