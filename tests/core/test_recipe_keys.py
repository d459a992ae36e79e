from __future__ import annotations

import pytest

from insula.core import recipe as recipes
from insula.core.errors import RecipeError
from insula.core.recipe import Recipe
from insula.core.recipe_keys import meant


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (
            "audit.nonsense=1",
            "'audit.nonsense'; section 'audit' has: robustness, subgroups, shortcuts, skull, calibration, shift, "
            "label_noise.",
        ),
        ("inputs.ct.foo=1", "'inputs.ct.foo'; section 'inputs.ct' has: modality, unit, tiles, prep."),
        ("inputs.ct.tiles.pixels=3", "section 'inputs.ct.tiles' has: size, mpp,"),
        ("model.roles.ct.foo=1", "section 'model.roles.ct' has: encoder,"),
        ("bla=3", "'bla'; a recipe has: name, question, seed,"),
        ("train.epoch=5", "'train.epoch'; is 'train.epochs' or"),
        ("audit.skull.auc=1", "is 'audit.skull.roc_auc' meant?"),
        ("clinical={age: {kin: number}}", "is 'clinical.age.kind' meant?"),
        ("train.stages=[{trin: all, epochs: 1}]", "'train.stages.0.trin'; is 'train.stages.0.train' meant?"),
    ],
)
def test_an_unknown_key_is_told_with_those_that_there_are(override: str, told: str) -> None:
    with pytest.raises(RecipeError) as raised:
        recipes.load("haemorrhage-ct", (override,))
    assert told in str(raised.value)


def test_every_key_of_every_section_that_is_told_is_one() -> None:
    keys = meant(Recipe, ("audit", "robustness", "?")).removeprefix("section 'audit.robustness' has: ").rstrip(".")
    assert set(keys.split(", ")) == set(recipes.load("stroke-ct").audit.robustness.model_dump())


@pytest.mark.parametrize("place", [("name", "x"), ("seed", 0, "x"), ("nowhere", "x"), ("train", "loss_weights", "x")])
def test_a_place_without_keys_of_its_own_tells_none(place: tuple[str | int, ...]) -> None:
    assert meant(Recipe, place) == ""
