"""The recipe: one clinical question as a YAML file, checked to the last key.

Recipes hold science; ports, keys and addresses come from the environment. Each section has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from insula.core import yaml_text
from insula.core.errors import RecipeError
from insula.core.recipe_audit import Audit
from insula.core.recipe_inputs import ClinicalColumn, Input, PrepStep, Tiles
from insula.core.recipe_keys import meant
from insula.core.recipe_model import Model, Normalise, RoleModel
from insula.core.recipe_names import names as names
from insula.core.recipe_policy import OperatingPoint, Policy, Refer, Risk
from insula.core.recipe_pretrain import Pretrain
from insula.core.recipe_section import Probability, Section
from insula.core.recipe_target import Kind, Target
from insula.core.recipe_train import Augment, HardNegatives, Train, TrainStage
from insula.core.yaml_text import YamlTextError

__all__ = [
    "Audit",
    "Augment",
    "ClinicalColumn",
    "HardNegatives",
    "Input",
    "Kind",
    "Model",
    "Normalise",
    "OperatingPoint",
    "Policy",
    "PrepStep",
    "Pretrain",
    "Probability",
    "Recipe",
    "Refer",
    "Risk",
    "RoleModel",
    "Target",
    "Tiles",
    "Train",
    "TrainStage",
    "dump",
    "load",
    "names",
    "parse",
]

_NAME = r"^[a-z][a-z0-9_]{0,31}$"
RoleName = Annotated[str, Field(pattern=_NAME)]
_RESERVED = ("clinical", "logits", "embedding")


class Recipe(Section):
    """One clinical question: inputs by role, clinical columns, targets (the first has the headline), network, policy,
    and the limits of an audit.

    A role, a clinical column and a target are named by small letters, digits and underscores.

    name: of the recipe. question: in a sentence, as people are asked it. seed: of everything that is drawn. inputs:
    scans by role. clinical: columns beside the scans, by name. targets: what is predicted, by name. model: the network.
    train: how it is fitted. pretrain: how its encoder is fitted first, where `insula pretrain` is used. policy: what is
    done with a probability. audit: how far the model may fail before an audit says so.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    question: str
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    inputs: dict[RoleName, Input] = Field(min_length=1)
    clinical: dict[str, ClinicalColumn] = Field(default_factory=dict)
    targets: dict[RoleName, Target] = Field(min_length=1)
    model: Model
    train: Train = Train()
    pretrain: Pretrain = Pretrain()
    policy: Policy = Policy()
    audit: Audit = Audit()

    @field_validator("inputs")
    @classmethod
    def _roles(cls, value: dict[str, Input]) -> dict[str, Input]:
        for name in value:
            if name in _RESERVED or name.endswith("_mask") or name.startswith(("maps_", "weights_")):
                raise ValueError(f"'{name}' cannot name an input, since the network's graph uses it")
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> Recipe:
        if self.target.graded:
            raise ValueError(f"the first target is a {self.target.kind}; put one with classes first")
        if self.fused and any(i.unit == "image" for i in self.inputs.values()):
            raise ValueError("unit: image is for one input alone; with several inputs or clinical columns take series")
        for name in self.model.roles:
            if name not in self.inputs:
                raise ValueError(f"model.roles names '{name}', which is none of the inputs {list(self.inputs)}")
        for name in self.train.loss_weights:
            if name not in self.targets:
                raise ValueError(f"train.loss_weights names '{name}', which is no target: {list(self.targets)}")
        if (self.train.mixup or self.train.cutmix) and any(t.kind == "survival" for t in self.targets.values()):
            raise ValueError("train.mixup and train.cutmix blend labels, and a survival time cannot be blended; set 0")
        return self

    @property
    def role(self) -> str:
        """The name of the first input."""
        return next(iter(self.inputs))

    @property
    def input(self) -> Input:
        """The first input's section."""
        return self.inputs[self.role]

    @property
    def fused(self) -> bool:
        """Whether the network joins several inputs, clinical columns among them."""
        return len(self.inputs) + bool(self.clinical) > 1

    @property
    def target_name(self) -> str:
        """The name of the first target."""
        return next(iter(self.targets))

    @property
    def target(self) -> Target:
        """The first target's section."""
        return self.targets[self.target_name]

    @property
    def further(self) -> dict[str, Target]:
        """The targets beside the first."""
        return {name: t for name, t in self.targets.items() if name != self.target_name}

    def columns(self, target: str) -> slice:
        """Columns of the network's output that belong to a target."""
        start = 0
        for name, section in self.targets.items():
            if name == target:
                return slice(start, start + section.columns)
            start += section.columns
        raise KeyError(target)

    def only(self, role: str) -> Recipe:
        """The same question asked of one input alone, without the others and without clinical columns.

        Raises RecipeError when there is no such input.
        """
        if role not in self.inputs:
            raise RecipeError(
                f"Recipe '{self.name}' has no input '{role}'; its inputs are {', '.join(self.inputs)}: choose one."
            )
        roles = {k: v for k, v in self.model.roles.items() if k == role}
        model = self.model.model_copy(update={"roles": roles})
        return self.model_copy(update={"inputs": {role: self.inputs[role]}, "clinical": {}, "model": model})


def load(source: str | Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """A recipe by its name or by the path of a YAML file, with `section.key=value` overrides applied.

    Raises RecipeError for an unknown name, a file that is no YAML mapping, an unknown key or a value out of range.
    """
    text, origin = _text(source)
    try:
        content = yaml_text.read(text)
    except YamlTextError as error:
        raise RecipeError(f"Recipe '{origin}' is not valid YAML ({error}); mend the file.") from error
    if not isinstance(content, dict):
        raise RecipeError(f"Recipe '{origin}' holds no mapping of keys; start from one of: {', '.join(names())}.")
    return changed(content, overrides, origin)


def changed(content: dict[str, Any], overrides: Sequence[str], origin: str) -> Recipe:
    """A recipe from plain data with `section.key=value` overrides applied; errors are those of `load`.

    Words said for a class go with the class: those of the recipe are dropped where an override gives other classes.
    """
    for override in overrides:
        _apply(content, override)
    for override in overrides:
        _drop_words(content, override.partition("=")[0], overrides)
    return parse(content, origin)


def parse(content: dict[str, Any], origin: str) -> Recipe:
    """A recipe from plain data; RecipeError names the key, the value and the rule."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        errors = error.errors()
        first = next(
            (one for one in errors if one["type"] == "extra_forbidden"), errors[0]
        )  # a key misspelt is missing
        key = ".".join(str(p) for p in first["loc"]) or "recipe"
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            way_out = meant(Recipe, first["loc"]) or "remove it or correct its spelling."
            raise RecipeError(f"Recipe '{origin}' has the unknown key '{key}'; {way_out}") from error
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
        place[last] = yaml_text.read(raw)
    except YamlTextError as error:
        raise RecipeError(f"Override '{override}' has a value that is not valid YAML; quote it.") from error


def _drop_words(content: dict[str, Any], key: str, overrides: Sequence[str]) -> None:
    section, _, rest = key.partition(".")
    name, _, last = rest.rpartition(".")
    if section != "targets" or last != "classes" or any(o.startswith(f"targets.{name}.words") for o in overrides):
        return
    targets = content["targets"]
    target = targets.get(name) if isinstance(targets, dict) else None
    if not isinstance(target, dict):  # what it is instead is said when all of the recipe is checked
        return
    classes, words = target.get("classes"), target.get("words")
    if isinstance(classes, list) and isinstance(words, dict):
        target["words"] = {label: said for label, said in words.items() if label in classes}
