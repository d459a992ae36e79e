from pathlib import Path

import pytest
import yaml

from insula.core import recipe as recipes
from insula.core.errors import RecipeError
from insula.prep.check import check_step
from insula.prep.run import channels


@pytest.mark.parametrize("name", recipes.names())
def test_each_recipe_of_ours_survives_a_round_trip_and_its_steps_exist(name: str) -> None:
    recipe = recipes.load(name)
    assert recipes.parse(yaml.safe_load(recipes.dump(recipe)), name) == recipe
    for section in recipe.inputs.values():
        for step in section.prep:
            check_step(step)
        assert channels(section) in (1, 3)


def test_there_are_the_five_recipes() -> None:
    assert recipes.names() == ("brain-tumour", "brain-tumour-fusion", "clot-origin", "haemorrhage-ct", "stroke-ct")


def test_an_override_changes_the_one_key() -> None:
    recipe = recipes.load("stroke-ct", ("train.epochs=5", "model.encoder=simple_cnn"))
    assert (recipe.train.epochs, recipe.model.encoder) == (5, "simple_cnn")
    assert recipe.train.batch == recipes.load("stroke-ct").train.batch


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.epoch=5", "unknown key 'train.epoch'"),
        ("train.epochs=0", "train.epochs"),
        ("train.epochs=many", "train.epochs"),
        ("targets.stroke.primary=bleed", "bleed"),
        ("policy.operating_point.sensitivity=0.9", "exactly one"),
        ("nonsense", "key.sub=value"),
        ("name.deeper=1", "'name'"),
        ("targets.stroke.more.classes=[a]", "unknown key 'targets.stroke.more'"),
        ("targets.a.b.classes=[a]", "targets.a"),
    ],
)
def test_a_wrong_override_is_named(override: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        recipes.load("stroke-ct", (override,))


@pytest.mark.parametrize("name", ["macro", "", "a/b", "../up", "<b>", "-x", "a" * 65, "line\nbreak"])
def test_a_class_name_that_no_file_or_column_can_carry_is_refused(name: str) -> None:
    content = recipes.load("stroke-ct").model_dump(mode="json", by_alias=True)
    content["targets"]["stroke"] |= {"classes": ["normal", name], "primary": name}
    with pytest.raises(RecipeError, match="is no class name"):
        recipes.parse(content, "x")


@pytest.mark.parametrize("name", ["CE", "grade II", "Schlaganfall frisch", "größer", "T1+", "v1.2-b"])
def test_ordinary_class_names_are_taken(name: str) -> None:
    content = recipes.load("stroke-ct").model_dump(mode="json", by_alias=True)
    content["targets"]["stroke"] |= {"classes": ["normal", name], "primary": name}
    assert recipes.parse(content, "x").target.positive == name


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="neither a file nor one of"):
        recipes.load("strok-ct")
    for content in (b"a: [", b"- 1", b"\xff\xfe\x00"):
        path = tmp_path / "r.yaml"
        path.write_bytes(content)
        with pytest.raises(RecipeError):
            recipes.load(path)
