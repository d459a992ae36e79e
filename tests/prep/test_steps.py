from dataclasses import replace

import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.recipe import Input, PrepStep
from insula.core.types import Volume
from insula.prep.geometry import pick_slices, resize
from insula.prep.intensity import colour, percentile
from insula.prep.run import apply, prepare, prepare_mask
from insula.prep.windows import windows


def hu(array: np.ndarray) -> Volume:
    return Volume(array.astype(np.float32), np.diag([2.0, 3.0, 5.0, 1.0]), "HU", "CT", "made")


def test_windows_are_linear_and_clipped_in_float() -> None:
    values = np.array([-10.0, 0.0, 20.0, 40.5, 80.0, 300.0]).reshape(1, 1, 1, 6)
    out = windows(hu(values), [[40, 80], [80, 200]]).array
    np.testing.assert_allclose(out[0, 0, 0], [0, 0, 0.25, 0.50625, 1, 1], atol=1e-6)
    np.testing.assert_allclose(out[1, 0, 0], [0.05, 0.1, 0.2, 0.3025, 0.5, 1], atol=1e-6)


def test_windows_refuse_a_picture_by_name_unless_the_recipe_takes_it_as_shown() -> None:
    picture = replace(hu(np.full((1, 1, 8, 8), 51.0)), units="a.u.", full_scale=255.0)
    with pytest.raises(UnsuitableScanError, match=r"windows.*Hounsfield"):
        windows(picture, [[40, 80]])
    shown = windows(picture, [[40, 80], [80, 200]], pictures="as_shown")
    np.testing.assert_allclose(shown.array, 0.2, rtol=1e-6)
    assert shown.array.shape[0] == 2
    assert "not HU" in shown.warnings[-1]


@pytest.mark.parametrize("value", [[], [[40]], [[40, 0]], "wide", [[40, -5]]])
def test_impossible_windows_are_recipe_errors(value: object) -> None:
    with pytest.raises(RecipeError):
        windows(hu(np.zeros((1, 1, 2, 2))), value)  # type: ignore[arg-type]


def test_percentile_ignores_the_background() -> None:
    inside = np.linspace(100, 200, 101)
    array = np.concatenate([np.zeros(5000), inside]).reshape(1, 1, 1, -1)
    out = percentile(hu(array), [0, 100]).array[0, 0, 0]
    np.testing.assert_allclose(out[5000:], (inside - 100) / 100, atol=1e-6)
    assert out[:5000].max() == 0.0
    assert percentile(hu(np.full((1, 1, 3, 3), 7.0))).array.max() == 0.0


def test_resize_keeps_the_mean_when_shrinking_and_the_millimetres() -> None:
    array = np.random.default_rng(0).random((2, 3, 64, 64))
    out = resize(hu(array), 32)
    np.testing.assert_allclose(out.array, array.reshape(2, 3, 32, 2, 32, 2).mean((3, 5)), atol=1e-6)
    assert out.spacing == (4.0, 6.0, 5.0)
    # the corner of the picture stays where it is: centre of the first voxel minus half a voxel
    old_corner = np.diag([2.0, 3.0, 5.0, 1.0]) @ [-0.5, -0.5, 0, 1]
    np.testing.assert_allclose(out.affine @ [-0.5, -0.5, 0, 1], old_corner)


def test_resize_pads_to_the_aspect_and_does_not_squash() -> None:
    array = np.zeros((1, 1, 40, 20))
    array[:, :, 15:25, 5:15] = 1.0  # a square of 10 pixels
    out = resize(hu(array), 80).array[0, 0] > 0.5
    assert abs(int(out.any(0).sum()) - int(out.any(1).sum())) <= 1
    assert resize(hu(array), [80, 40]).array.shape == (1, 1, 80, 40)


@pytest.mark.parametrize("value", [0, 4, 5000, "big", [224], [1.5, 2]])
def test_resize_refuses_impossible_sizes(value: object) -> None:
    with pytest.raises(RecipeError):
        resize(hu(np.zeros((1, 1, 16, 16))), value)  # type: ignore[arg-type]


def test_pick_slices_keeps_both_ends() -> None:
    array = np.arange(9).reshape(1, 9, 1, 1)
    assert pick_slices(hu(array), 3).array.ravel().tolist() == [0, 4, 8]
    assert pick_slices(hu(array), 20).array.shape[1] == 9


def test_colour_refuses_grey_and_weighs_luminance() -> None:
    rgb = Volume(np.full((3, 1, 8, 8), 255.0, np.float32), np.eye(4), "RGB", "", "made", full_scale=255.0)
    np.testing.assert_allclose(colour(rgb, "grey").array, 1.0, atol=1e-6)
    with pytest.raises(UnsuitableScanError, match="colour picture"):
        colour(replace(rgb, array=rgb.array[:1], units="a.u."))


def test_an_unknown_step_or_parameter_is_named() -> None:
    scan = hu(np.zeros((1, 1, 8, 8)))
    with pytest.raises(RecipeError, match="no preparation step 'sharpen'"):
        apply(scan, PrepStep(name="sharpen"))
    with pytest.raises(RecipeError, match="no parameter 'size'"):
        apply(scan, PrepStep(name="resize", params={"size": 3}))


def test_prepare_gives_slices_first_and_refuses_another_modality() -> None:
    section = recipes.load("haemorrhage-ct").input
    scan = hu(np.random.default_rng(1).normal(40, 30, (1, 5, 32, 32)))
    out = prepare(scan, section)
    assert out.shape == (5, 3, 224, 224)
    assert 0.0 <= out.min() < out.max() <= 1.0
    with pytest.raises(UnsuitableScanError, match="modality is MR"):
        prepare(replace(scan, modality="MR"), section)
    with pytest.raises(UnsuitableScanError, match="not finite"):
        prepare(replace(scan, array=np.full((1, 1, 8, 8), np.nan, np.float32)), section)
    with pytest.raises(UnsuitableScanError, match="colour pictures of slides"):
        prepare(replace(scan, modality=""), recipes.load("clot-origin").input)


def test_a_mask_goes_through_the_geometric_steps_alone() -> None:
    section = Input(
        modality="CT",
        prep=(
            PrepStep(name="pick_slices", params={"value": 2}),
            PrepStep(name="windows", params={"value": [[40, 80]]}),
            PrepStep(name="resize", params={"value": 16}),
        ),
    )
    array = np.zeros((1, 4, 32, 32))
    array[0, 3, 8:16, 8:16] = 1
    mask = prepare_mask(hu(array), section)
    assert mask.shape == (2, 16, 16)
    assert mask[1, 4:8, 4:8].all()
    assert mask.sum() == 16
