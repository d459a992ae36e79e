"""The pages of docs/reference are what the code says, and the code says something of everything."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.capacity.loaded import script
from tests.house.walk import ROOT

from insula.cli.main import VERBS
from insula.core import recipe as recipes
from insula.core.registry import Registry

reference = script("reference")
cli, recipe, registry = script("reference_cli"), script("reference_recipe"), script("reference_registry")
settings, words, choices = script("reference_settings"), script("reference_words"), script("reference_choices")
python = script("reference_python")
ELSEWHERE = {"rest.md"}  # beside the other test that starts the service: tests/serve/api/test_routes_table.py
VERB = list(cli.verbs())


@pytest.mark.parametrize("name", sorted(set(reference.PAGES) - ELSEWHERE))
def test_a_page_is_as_the_code_is(name: str) -> None:
    assert reference.stale((name,)) == [], "run: python scripts/reference.py"


def test_every_verb_and_every_option_says_what_it_is() -> None:
    assert set(VERBS) <= {name for name, _ in VERB}
    assert [name for name, command in VERB if not (command.help or "").strip()] == []
    silent = [
        (name, one.name) for name, command in VERB for one in cli.options(command) if not (one.help or "").strip()
    ]
    assert silent == []
    text = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^#{2,3} insula (.+)$", text, re.MULTILINE))
    assert headings == {name for name, _ in VERB}


def test_every_key_of_a_recipe_says_what_it_is() -> None:
    for name, section in recipe.classes().items():
        said = words.said_of(section)
        fields = section.model_fields.items()
        silent = [key for key, field in fields if key not in said and (field.alias or key) not in said]
        assert silent == [], f"{name}: say in its docstring, as `key: meaning`, what these are"


def test_a_key_without_a_meaning_would_be_found() -> None:
    class Made(recipe.Recipe.__mro__[1]):  # type: ignore[misc, name-defined]
        """A section. first: the one that is told, at length; and on. third, fourth: both. See first."""

        first: int = 1
        second: int = 2
        third: int = 3
        fourth: int = 4

    told, both = "The one that is told, at length; and on.", "Both. See first."
    assert words.said_of(Made) == {"first": told, "third": both, "fourth": both}
    assert words.introduction(Made) == "A section."


def test_every_value_that_a_key_may_be_chosen_from_is_explained() -> None:
    for part in recipe.parts():
        said = words.said_of(part.section)
        for key, held in part.schema["properties"].items():
            place = f"{part.place}.{key}".strip(".")
            values = _values(held)
            assert set(choices.CHOICES.get(place, {})) <= set(values), place
            meaning = said[recipe._name(part.section, key, said)] + " ".join(choices.CHOICES.get(place, {}))
            assert [one for one in values if not re.search(rf"\b{re.escape(one)}\b", meaning)] == [], place


def _values(held: dict[str, Any]) -> list[str]:
    inner = [one for one in held.get("anyOf", ()) if "enum" in one]
    return [str(one) for one in (inner[0] if inner else held).get("enum", ())]


def test_the_schema_knows_every_key_of_the_recipes_that_come_along() -> None:
    schema = recipe.schema()
    known = {place for place, _ in recipe.places()}
    assert {"train.epochs", "inputs.NAME.tiles.mpp", "targets.NAME.primary", "audit.shift.slope"} <= known
    for name in recipes.names():
        content = recipes.load(name).model_dump(mode="json", by_alias=True)
        assert set(content) == set(schema["properties"]), name
    told = [one["description"] for one in schema["properties"].values()]
    assert all(told)


def test_every_entry_of_every_table_says_what_it_is() -> None:
    found: list[Registry] = [one for _, one in registry.registries()]
    assert {one.kind for one in found} == set(registry.TITLES)
    for one in found:
        assert [name for name, said in registry.sentences(one).items() if len(said.split()) < 2] == [], one.kind
    text = (ROOT / "docs" / "reference" / "registry.md").read_text(encoding="utf-8")
    assert [name for one in found for name in one._entries if f"| `{name}` |" not in text] == []


def test_every_variable_that_the_sources_name_is_explained() -> None:
    told = dict(settings.variables())
    assert len(told) > 50
    assert settings.named_in_source() - set(told) == set()
    assert [name for name, meaning in told.items() if len(meaning.split()) < 2] == []


def test_every_name_of_the_python_api_says_what_it_is() -> None:
    silent = [name for name, one in python.documented() if not (one.__doc__ or "").strip()]
    assert silent == []
