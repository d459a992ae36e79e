from pathlib import Path

import pytest
from click.testing import CliRunner

from insula.bundle import load
from insula.cli.main import main
from insula.core import recipe as recipes
from insula.core.errors import BundleError, RecipeError
from insula.core.recipe import Input, PrepStep
from insula.prep.check import check_input, check_step, checked, parameters
from insula.prep.steps import GEOMETRIC, LED_BY_PICTURE, LOSES_HU, NEEDS_HU, STEPS

PAGE = (Path(__file__).parents[2] / "docs/preparation.md").read_text(encoding="utf-8")


def step(name: str, **params: object) -> PrepStep:
    return PrepStep(name=name, params=params)


@pytest.mark.parametrize("name", recipes.names())
def test_our_recipes_are_possible(name: str) -> None:
    assert checked(recipes.load(name)).name == name


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (step("sharpen"), "no preparation step 'sharpen'; known are: bias_field"),
        (step("resize", size=3), "'resize' has no parameter 'size'; it takes: value, method"),
        (step("resize"), "'resize' lacks the parameter 'value'; give it: one or two whole numbers from 8 to 2048"),
        *[(step("resize", value=v), r"'value' = .*whole numbers") for v in (0, 4, 5000, "big", [224], [1.5, 2], True)],
        (step("resize", value=64, method="cubic"), "'method' = 'cubic' must be 'auto', 'area' or 'linear'"),
        *[(step("windows", value=v), "width above 0") for v in ([], [[40]], [[40, 0]], "wide", [[40, -5]], 40)],
        (step("windows", value=[[40, 80]], pictures="maybe"), "'pictures' = 'maybe'"),
        (step("percentile", value=[99, 1]), r"= \[99, 1\] must be two rising numbers \[low, high\] from 0 to 100"),
        (step("percentile", value=[0, 101]), "from 0 to 100"),
        (step("clip", value=[1]), "two rising numbers"),
        (step("clip", value=[float("nan"), 3]), "two rising numbers"),
        (step("clip_hu", value=[5, 5]), "two rising numbers"),
        (step("pick_slices", value=0), "a whole number above 0"),
        (step("pick_slices", value=2.5), "a whole number above 0"),
        (step("clahe", limit=0.5), "from 1 to 100"),
        (step("denoise", strength=0), "above 0"),
        (step("denoise", method="wavelet"), "'bilateral', 'nlm' or 'median'"),
        (step("resample", value=[1, 1]), "millimetres from 0.2 to 20"),
        (step("resample", value=0), "millimetres from 0.2 to 20"),
        (step("remove_skull", margin=-1), "millimetres from 0 to 20"),
        (step("crop_to_head", margin="wide"), "millimetres from 0 to 100"),
        (step("bias_field", shrink=0), "from 1 to 8"),
        (step("untilt", degrees=3), "it takes: none"),
    ],
)
def test_an_impossible_step_is_told_with_parameter_value_and_rule(wrong: PrepStep, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        check_step(wrong)


@pytest.mark.parametrize("wrong", ["sharpen", "resize: big"])
def test_every_way_to_a_recipe_checks_its_steps_first(wrong: str, tmp_path: Path) -> None:
    override = f"inputs.ct.prep=[{{{wrong}}}]" if ":" in wrong else f"inputs.ct.prep=[{wrong}]"
    options = ["--recipe", "stroke-ct", "--set", override, "--out", str(tmp_path / "out.parquet")]
    called = CliRunner().invoke(main, ["index", str(tmp_path / "no-such-folder"), *options])
    assert isinstance(called.exception, RecipeError)  # before it looks for the folder
    raw = recipes.dump(recipes.load("stroke-ct", (override,))).encode()
    with pytest.raises(BundleError, match=r"recipe\.yaml' is refused"):
        load._recipe(raw)


def test_hounsfield_units_must_be_there_when_a_step_needs_them() -> None:
    size, brain = step("resize", value=64), step("windows", value=[[40, 80]])
    check_input(Input(modality="CT", prep=(step("clip_hu", value=[-100, 300]), step("remove_skull"), brain, size)))
    with pytest.raises(RecipeError, match=r"'remove_skull' needs Hounsfield units.*step 'windows' before it"):
        check_input(Input(modality="CT", prep=(brain, step("remove_skull"), size)))
    with pytest.raises(RecipeError, match=r"'windows' needs Hounsfield units.*modality MR"):
        check_input(Input(modality="MR", prep=(brain, size)))
    as_shown = step("windows", value=[[40, 80]], pictures="as_shown")
    check_input(Input(modality="OT", prep=(as_shown, size)))


BRIGHT = step("remove_skull", pictures="by_brightness")


def test_bone_is_white_in_a_ct_picture_as_it_was_saved_and_in_nothing_else() -> None:
    with pytest.raises(RecipeError, match=r"needs Hounsfield units or a CT picture as it was saved, and modality MR"):
        check_input(Input(modality="MR", prep=(BRIGHT, step("resize", value=64))))
    with pytest.raises(RecipeError, match="as it was saved, and the step 'full_scale' before it ends them"):
        check_input(Input(modality="CT", prep=(step("full_scale"), BRIGHT)))
    check_input(Input(modality="CT", prep=(BRIGHT, step("full_scale"))))


@pytest.mark.parametrize("name", STEPS.names())
def test_every_step_and_its_page_say_what_its_parameters_may_be(name: str) -> None:
    row = next((line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")), "")
    assert row, f"docs/preparation.md has no row for '{name}'"
    for key, field in parameters(name).model_fields.items():
        assert f"`{key}`" in row, (name, key)
        literal = "Literal" in str(field.annotation)
        assert field.description or literal, (name, key)


def test_the_tables_name_steps_that_exist() -> None:
    assert set(STEPS.names()) >= GEOMETRIC | NEEDS_HU | LOSES_HU
    assert LED_BY_PICTURE <= GEOMETRIC
