"""The keys that a section of a recipe has, so that one which it has not can be told what was meant."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from insula.core.recipe_section import Section


def meant(recipe: type[Section], place: Sequence[str | int]) -> str:
    """What to write in place of an unknown key: the keys like it, or all keys of its section; "" for a strange place.

    place: the key's section and itself, as pydantic gives them.
    """
    *parents, last = place
    section = _section(recipe, parents)
    if section is None:
        return ""
    keys = [field.alias or name for name, field in section.model_fields.items()]
    close = get_close_matches(str(last), keys)
    if close:
        return f"is {' or '.join(repr('.'.join(str(p) for p in (*parents, key))) for key in close)} meant?"
    named = f"section '{'.'.join(str(part) for part in parents)}'" if parents else "a recipe"
    return f"{named} has: {', '.join(keys)}."


def _section(recipe: type[Section], parents: Sequence[str | int]) -> type[BaseModel] | None:
    """The section that stands at a place; None where the place has no keys of its own."""
    found: Any = recipe
    for part in parents:
        if isinstance(found, type) and issubclass(found, BaseModel):
            fields = found.model_fields
            named = next((f for name, f in fields.items() if part in (name, f.alias)), None)
            found = None if named is None else named.annotation
        else:
            found = _inside(found)
    found = _bare(found)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _inside(annotation: Any) -> Any:
    """What a mapping or a list holds."""
    annotation = _bare(annotation)
    held = [one for one in get_args(annotation) if one is not Ellipsis]
    return held[-1] if held and get_origin(annotation) in (dict, list, tuple) else None


def _bare(annotation: Any) -> Any:
    """An annotation without what may stand around it: a rule, or None beside it."""
    while (args := get_args(annotation)) and get_origin(annotation) not in (dict, list, tuple):
        annotation = next((one for one in args if one is not type(None)), None)
    return annotation
