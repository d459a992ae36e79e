"""The cards of the recipes say what the recipes say."""

from __future__ import annotations

import re

import pytest
from tests.house.walk import ROOT

from insula.core import recipe as recipes
from insula.core.recipe import Recipe

CARDS = {
    "haemorrhage-ct": "haemorrhage-ct",
    "stroke-ct": "stroke-ct",
    "brain-tumour": "brain-tumour",
    "brain-tumour-fusion": "brain-tumour",
    "clot-origin": "clot-origin",
}
_ROW = re.compile(r"^\| ([^|]+?) \| (.+?) \|$", re.MULTILINE)
_POOLS = {"attention": "attention", "mean": "mean", "max": "largest value"}


def card(name: str) -> dict[str, str]:
    """The rows of the table about a recipe; a card may be about two, each below a heading that ends in its name."""
    text = (ROOT / "docs" / "cards" / f"{CARDS[name]}.md").read_text(encoding="utf-8")
    parts = {re.sub(r"^The recipe ?", "", part.partition("\n")[0]): part for part in text.split("\n## ")}
    part = parts.get(name, parts.get("", ""))
    return dict(_ROW.findall(part.partition("**Intended use.**")[0]))


def test_every_recipe_that_comes_with_insula_has_a_card() -> None:
    there = {path.stem for path in (ROOT / "src/insula/recipes").glob("*.yaml")}
    assert there == set(CARDS)
    assert {path.stem for path in (ROOT / "docs/cards").glob("*.md")} == {*CARDS.values(), "phantoms"}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_tells_the_recipe_as_it_is(name: str) -> None:
    recipe: Recipe = recipes.load(name)
    rows = card(name)
    assert rows["question"] == recipe.question
    for role, section in recipe.inputs.items():
        assert f"`{role}`" in rows["input"]
        assert section.modality in rows["input"] or section.modality == "SM"
        for step in section.prep:
            if step.name == "windows":
                value = step.params.get("value")
                assert value
                for centre, width in value:
                    assert f"{centre:g}/{width:g}" in rows["input"]
    target = recipe.target
    assert all(one in rows["answer"] for one in target.classes)
    assert f"headline: {target.positive}" in rows["answer"]
    assert recipe.model.encoder in rows["network"]
    assert _POOLS[recipe.model.pool] in rows["network"]
    assert f"dropout {recipe.model.dropout:g}" in rows["network"]
    point = recipe.policy.operating_point
    aim = "youden: true" if point.youden else f"sensitivity: {point.sensitivity:g}"
    assert rows["operating point"].startswith(f"{aim}, on validation patients")
    refer = recipe.policy.refer
    assert rows["refers"] == f"confidence below {refer.confidence:g}, spread above {refer.spread:g}"
    assert rows["prevalences told"] == ", ".join(f"{x:g}" for x in recipe.policy.prevalences)


def test_the_fusion_card_names_its_further_targets_and_columns() -> None:
    recipe, rows = recipes.load("brain-tumour-fusion"), card("brain-tumour-fusion")
    assert all(column in rows["input"] for column in recipe.clinical)
    assert "stage: I, II, III, IV" in rows["answer"]
    assert "365 and 730 days" in rows["answer"]
