"""The recipe: one clinical question as a YAML file, checked to the last key.

Recipes hold science; ports, keys and addresses come from the environment.
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from insula.core.errors import RecipeError

Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PrepStep(_Section):
    """One named preparation step with its parameters; written `{name: parameters}` or just `name` in YAML."""

    name: str
    params: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, dict) and len(value) == 1 and "name" not in value:
            name, params = next(iter(value.items()))
            if not isinstance(params, dict):
                params = {"value": params}
            return {"name": name, "params": params}
        return value


class Tiles(_Section):
    """How a whole slide becomes a bag of tiles.

    size: pixels a side. mpp: micrometres a pixel at which tiles are taken. downsample: pixels of the slide under one of
    a tile, for slides that do not say their resolution. most: tiles of one slide. overlap: pixels that neighbours
    share. tissue: share of a tile that must be tissue.
    """

    size: Annotated[int, Field(ge=32, le=1024)] = 224
    mpp: Annotated[float, Field(ge=0.1, le=50.0)] = 2.0
    downsample: Annotated[float, Field(ge=1.0, le=256.0)] = 4.0
    most: Annotated[int, Field(ge=1, le=1024)] = 64
    overlap: Annotated[int, Field(ge=0)] = 0
    tissue: Probability = 0.3

    @model_validator(mode="after")
    def _check(self) -> Tiles:
        if self.overlap > self.size // 2:
            raise ValueError(f"overlap {self.overlap} is more than half of size {self.size}")
        return self


class Input(_Section):
    """One role: which modality, what counts as one input of the network, and how it is prepared.

    tiles: how whole slides are cut (modality SM); a recipe without it refuses them.
    """

    modality: Literal["CT", "MR", "SM", "OT"]
    unit: Literal["series", "image"] = "series"
    tiles: Tiles | None = None
    prep: tuple[PrepStep, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _slides_alone(self) -> Input:
        if self.tiles is not None and self.modality != "SM":
            raise ValueError(f"tiles are for slides (modality SM), and this input takes {self.modality}")
        return self


_CLASS_NAME = re.compile(r"[^\W_][\w .+-]{0,63}")


class Target(_Section):
    """One question's answer: exclusive classes, or labels that may stand together.

    positive: the class (multiclass) or label (multilabel) that thresholds, sensitivity and the headline are about.
    """

    kind: Literal["multiclass", "multilabel"]
    classes: tuple[str, ...] = Field(min_length=2)
    positive: str = Field(alias="primary")

    @model_validator(mode="after")
    def _check(self) -> Target:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes {list(self.classes)} repeat a name")
        for name in self.classes:
            if not _CLASS_NAME.fullmatch(name) or name == "macro":
                raise ValueError(
                    f"'{name}' is no class name: it names columns and files, so give letters, digits, spaces and .+- "
                    "after a letter or digit, 64 at most, and not 'macro'"
                )
        if self.positive not in self.classes:
            raise ValueError(f"primary '{self.positive}' is not one of the classes {list(self.classes)}")
        return self

    @property
    def positive_index(self) -> int:
        """Column of the positive class."""
        return self.classes.index(self.positive)

    @property
    def any_of_the_others(self) -> bool:
        """Whether the positive label is `any`, which each other label implies and which no other can stand without."""
        return self.kind == "multilabel" and self.positive == "any"


class Normalise(_Section):
    """Channel means and standard deviations, subtracted and divided inside the network's graph."""

    mean: tuple[float, ...] = (0.5,)
    std: tuple[Annotated[float, Field(gt=0.0)], ...] = (0.25,)

    @model_validator(mode="after")
    def _check(self) -> Normalise:
        if len(self.mean) != len(self.std):
            raise ValueError(f"normalise has {len(self.mean)} means and {len(self.std)} standard deviations")
        return self


class Model(_Section):
    """The network: encoder by name, pooling over slices, dropout before the head."""

    encoder: str
    pretrained: bool | str = False
    normalise: Normalise = Normalise()
    pool: Literal["mean", "max", "attention"] = "mean"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2


class Augment(_Section):
    """Random changes of the training pictures only; each 0 switches it off.

    Each value is the most that is drawn. Pictures run from 0 to 1 here, so 0.1 is a tenth of their range.
    flip: chance to mirror left and right. rotate: degrees. shift, elastic: shares of a side. scale: share of the size.
    grid: share by which the cells of a 5 × 5 grid stretch. optical: barrel or pincushion, share at a side's middle.
    brightness, noise (standard deviation), ring, streak: in the picture's values. contrast, bias: shares.
    gamma: 0.3 draws powers from 1/1.3 to 1.3. blur: standard deviation in pixels. local_contrast: how much of a local
    contrast normalisation is mixed in. holes: share of the area that is covered. gibbs: outer share of k-space that is
    cut. ghost: share that k-space lines lack. motion: share of a side that the head moves during the scan.
    chance: of a case to get each of gamma, blur, local_contrast, holes, bias, gibbs, ghost, motion, ring, streak.
    """

    flip: Probability = 0.5
    rotate: Annotated[float, Field(ge=0.0, le=180.0)] = 10.0
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.05
    scale: Annotated[float, Field(ge=0.0, le=0.5)] = 0.1
    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    contrast: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    noise: Annotated[float, Field(ge=0.0, le=1.0)] = 0.02
    elastic: Annotated[float, Field(ge=0.0, le=0.1)] = 0.0
    grid: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    optical: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    chance: Probability = 0.3
    gamma: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    blur: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    local_contrast: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    holes: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    bias: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    gibbs: Annotated[float, Field(ge=0.0, le=0.9)] = 0.0
    ghost: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    motion: Annotated[float, Field(ge=0.0, le=0.2)] = 0.0
    ring: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    streak: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0


class Train(_Section):
    """How the network is fitted.

    mixup, cutmix: the parameter of the Beta distribution of the share that a case keeps of itself (0 is off; 0.2 and
    1.0 are usual); with both, each batch takes one of them.
    """

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 16
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0.0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-2
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 0.5
    clip: Annotated[float, Field(ge=0.0)] = 1.0
    patience: Annotated[int, Field(ge=1)] = 8
    class_weights: bool = True
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    slices: Annotated[int, Field(ge=0)] = 0
    augment: Augment = Augment()
    mixup: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    cutmix: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0


class OperatingPoint(_Section):
    """The aim by which the threshold is chosen on validation cases; exactly one."""

    sensitivity: Probability | None = None
    specificity: Probability | None = None
    youden: bool = False

    @model_validator(mode="after")
    def _one(self) -> OperatingPoint:
        chosen = (self.sensitivity is not None) + (self.specificity is not None) + self.youden
        if chosen != 1:
            raise ValueError("operating_point takes exactly one of sensitivity, specificity, youden: true")
        return self


class Refer(_Section):
    """A person looks when confidence is below, the spread above, or the distance from training beyond these limits."""

    confidence: Probability = 0.7
    spread: Annotated[float, Field(ge=0.0)] = 0.1
    domain: Probability = 0.99


class Policy(_Section):
    """What is done with a probability."""

    operating_point: OperatingPoint = OperatingPoint(youden=True)
    refer: Refer = Refer()
    aggregate: Literal["mean", "max", "noisy_or", "majority"] = "mean"
    conformal_level: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    passes: Annotated[int, Field(ge=2)] = 30
    prevalences: tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = (0.01, 0.05)


class Recipe(_Section):
    """One clinical question: inputs, target, network, training, policy."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    question: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    inputs: dict[str, Input]
    targets: dict[str, Target]
    model: Model
    train: Train = Train()
    policy: Policy = Policy()

    @field_validator("inputs")
    @classmethod
    def _one_input(cls, value: dict[str, Input]) -> dict[str, Input]:
        if len(value) != 1:
            raise ValueError(f"inputs names {sorted(value)}; this version trains on exactly one role")
        return value

    @field_validator("targets")
    @classmethod
    def _one_target(cls, value: dict[str, Target]) -> dict[str, Target]:
        if len(value) != 1:
            raise ValueError(f"targets names {sorted(value)}; this version trains exactly one target")
        return value

    @property
    def role(self) -> str:
        """The name of the input."""
        return next(iter(self.inputs))

    @property
    def input(self) -> Input:
        """The input's section."""
        return self.inputs[self.role]

    @property
    def target_name(self) -> str:
        """The name of the target."""
        return next(iter(self.targets))

    @property
    def target(self) -> Target:
        """The target's section."""
        return self.targets[self.target_name]


def names() -> tuple[str, ...]:
    """The recipes that come with Insula."""
    folder = files("insula").joinpath("recipes")
    return tuple(sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")))


def load(source: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """A recipe by its name or by the path of a YAML file, with `section.key=value` overrides applied.

    Raises RecipeError for an unknown name, a file that is no YAML mapping, an unknown key or a value out of range.
    """
    text, origin = _text(source)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"Recipe '{origin}' is not valid YAML ({_one_line(error)}); mend the file.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"Recipe '{origin}' holds no mapping of keys; start from one of: {', '.join(names())}.")
    for override in overrides:
        _apply(content, override)
    return parse(content, origin)


def parse(content: dict[str, Any], origin: str) -> Recipe:
    """A recipe from plain data; RecipeError names the key, the value and the rule."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(p) for p in first["loc"]) or "recipe"
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            raise RecipeError(
                f"Recipe '{origin}' has the unknown key '{key}'; remove it or correct its spelling."
            ) from error
        value = "" if isinstance(first["input"], dict | list | tuple) else f" = {first['input']!r}"
        raise RecipeError(f"Recipe '{origin}', key '{key}'{value}: {message}; change the value.") from error


def dump(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out; `load` gives the same recipe back."""
    return yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)


def _text(source: str | Path) -> tuple[str, str]:
    name = str(source)
    if name in names():
        return files("insula").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8"), name
    path = Path(source)
    if not path.is_file():
        raise RecipeError(
            f"There is no recipe '{name}': it is neither a file nor one of {', '.join(names())}; check the name."
        )
    try:
        return path.read_text(encoding="utf-8"), name
    except UnicodeDecodeError as error:
        raise RecipeError(f"Recipe '{name}' is not UTF-8 text; save it as UTF-8.") from error


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, raw = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"Override '{override}' is not of the form key.sub=value; write e.g. train.epochs=5.")
    place = content
    *parents, last = key.split(".")
    for part in parents:
        inner = place.setdefault(part, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"Override '{override}' goes into '{part}', which is a value; check the key.")
        place = inner
    try:
        place[last] = yaml.safe_load(raw)
    except yaml.YAMLError as error:
        raise RecipeError(f"Override '{override}' has a value that is not valid YAML; quote it.") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
