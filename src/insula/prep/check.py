"""Are a recipe's preparation steps possible: names, parameters, values and order, before any scan is read.

A step's parameters are declared by its function's annotations; `Annotated[..., Field(description=...)]` says the rule
in words, and the words are what an error shows.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from insula.core.errors import RecipeError
from insula.core.recipe import Input, PrepStep, Recipe
from insula.prep.steps import LOSES_HU, NEEDS_HU, STEPS


def checked(recipe: Recipe) -> Recipe:
    """The recipe itself when the preparation steps of all its inputs are possible; RecipeError says what is not."""
    for section in recipe.inputs.values():
        check_input(section)
    return recipe


def check_input(section: Input) -> None:
    """Refuse an input section that cannot be run: RecipeError names the step, the parameter, the value and the rule.

    Everything that loads a recipe in order to use it calls this, or `checked`, first.
    """
    lost = "" if section.modality in ("CT", "OT") else f"modality {section.modality}"
    for step in section.prep:
        check_step(step)
        if lost and (needs_hu(step) or step.name == "remove_skull"):
            why = (
                f"and {lost} has none" if lost.startswith("modality") else f"and the step '{lost}' before it ends them"
            )
            needed = "Hounsfield units" if needs_hu(step) else "Hounsfield units or a CT picture as it was saved"
            raise RecipeError(f"Step '{step.name}' needs {needed}, {why}; change the order of the steps.")
        if step.name in LOSES_HU:
            lost = step.name


def check_step(step: PrepStep) -> None:
    """Refuse a step whose name, parameters or values no function takes."""
    if step.name not in STEPS:
        raise RecipeError(f"There is no preparation step '{step.name}'; known are: {', '.join(STEPS.names())}.")
    model = parameters(step.name)
    try:
        model.model_validate(step.params)
    except ValidationError as error:
        raise RecipeError(_message(step, model, error)) from error


def needs_hu(step: PrepStep) -> bool:
    """Whether a step refuses a scan without Hounsfield units."""
    return step.name in NEEDS_HU and step.params.get("pictures", "refuse") == "refuse"


@cache
def parameters(name: str) -> type[BaseModel]:
    """The parameters of a step as a model: its function's annotations and defaults, the volume left out."""
    function = STEPS.get(name)
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {
        p.name: (hints.get(p.name, Any), ... if p.default is p.empty else p.default)
        for p in list(inspect.signature(function).parameters.values())[1:]
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=())
    model: type[BaseModel] = create_model(f"Step_{name}", __config__=config, **fields)
    return model


def _message(step: PrepStep, model: type[BaseModel], error: ValidationError) -> str:
    errors = error.errors(include_url=False)
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    key = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(model.model_fields) or "none"
        return f"Step '{step.name}' has no parameter '{key}'; it takes: {known}."
    rule = model.model_fields[key].description or str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"Step '{step.name}' lacks the parameter '{key}'; give it: {rule}."
    return f"Step '{step.name}', parameter '{key}' = {step.params[key]!r} must be {rule}; change the value."
