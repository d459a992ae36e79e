"""docs/reference/recipe.md and the JSON Schema beside it: every key of a recipe, out of the code that checks them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from reference_choices import CHOICES
from reference_words import default, introduction, kind, said_of, sections_of, table

from insula.core.recipe import Recipe

HEAD = """# Every key of a recipe

A recipe is one clinical question as a YAML file. An unknown key is refused, and so is a value out of its range; the
message names the key and the rule. Any key can be changed on the command line by its dotted name, as
`--set train.epochs=5`; `NAME` stands for a name of your own (a role, a clinical column, a target), and `[]` for each
entry of a list. What a key is for is told with examples in [training.md](../training.md),
[preparation.md](../preparation.md), [models.md](../models.md), [uncertainty.md](../uncertainty.md) and
[audit.md](../audit.md).

[recipe.schema.json](recipe.schema.json) is the same as a JSON Schema, by which editors complete and check recipes: with
the YAML language server, a first line `# yaml-language-server: $schema=PATH/recipe.schema.json` in the file.
"""


@dataclass(frozen=True)
class Part:
    """One section at one place of a recipe."""

    place: str
    section: type[BaseModel]
    schema: Mapping[str, Any]


def schema() -> dict[str, Any]:
    """The JSON Schema of recipes, each key with what its section's docstring says of it."""
    found = Recipe.model_json_schema(by_alias=True)
    sections = classes()
    for name, one in {"Recipe": found, **found["$defs"]}.items():
        said = said_of(sections[name])
        for key, held in one["properties"].items():
            held["description"] = said[_name(sections[name], key, said)]
            held.pop("title", None)
        one["description"] = introduction(sections[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def classes() -> dict[str, type[BaseModel]]:
    """The sections of a recipe by the names that its schema gives them."""
    from insula.core.recipe_section import Section

    def below(section: type[BaseModel]) -> Iterator[type[BaseModel]]:
        for one in section.__subclasses__():
            yield one
            yield from below(one)

    return {one.__name__: one for one in below(Section)}


def parts() -> Iterator[Part]:
    """All sections in the order in which a recipe is written."""
    whole = Recipe.model_json_schema(by_alias=True)
    sections = classes()

    def walk(place: str, name: str, part: Mapping[str, Any]) -> Iterator[Part]:
        yield Part(place, sections[name], part)
        for key, held in part["properties"].items():
            inner, how = sections_of(whole, held)
            if inner and not (inner == "Augment" and place == "pretrain"):  # the same keys as train.augment
                yield from walk(f"{place}.{key}{how}".strip("."), inner, whole["$defs"][inner])

    return walk("", "Recipe", whole)


def places() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key by its dotted name, with its schema."""
    for part in parts():
        for key, held in part.schema["properties"].items():
            yield f"{part.place}.{key}".strip("."), held


def page() -> str:
    """The page."""
    return "\n".join([HEAD, *(_written(part) for part in parts())])


def schema_text() -> str:
    """The JSON Schema as a file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _written(part: Part) -> str:
    said = said_of(part.section)
    needed = part.schema.get("required", ())
    rows = [
        (f"`{key}`", kind(held), default(held, key in needed), _meaning(part, key, said))
        for key, held in part.schema["properties"].items()
    ]
    title = f"`{part.place}`" if part.place else "The recipe itself"
    note = "\n\n`augment` has the keys of `train.augment`." if part.place == "pretrain" else ""
    return (
        f"## {title}\n\n{introduction(part.section)}\n\n{table(('key', 'value', 'default', 'meaning'), rows)}{note}\n"
    )


def _meaning(part: Part, key: str, said: Mapping[str, str]) -> str:
    choices = CHOICES.get(f"{part.place}.{key}".strip("."), {})
    listed = "; ".join(f"`{value}`: {what}" for value, what in choices.items())
    return f"{said[_name(part.section, key, said)]}{f' {listed}.' if listed else ''}"


def _name(section: type[BaseModel], key: str, said: Mapping[str, str]) -> str:
    """What a docstring calls a key: as people write it, or by its field's name."""
    if key in said:
        return key
    return next(name for name, field in section.model_fields.items() if field.alias == key)
