from dataclasses import replace

import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.errors import UnsuitableScanError
from insula.core.recipe import Input, PrepStep
from insula.core.types import Volume
from insula.prep.geometry import pick_slices, resize
from insula.prep.intensity import clip, clip_hu, clip_outliers, colour, minmax, percentile, zscore
from insula.prep.run import apply, prepare, prepared_volume
from insula.prep.steps import SLICEWISE
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


def test_percentile_ignores_the_background() -> None:
    inside = np.linspace(100, 200, 101)
    array = np.concatenate([np.zeros(5000), inside]).reshape(1, 1, 1, -1)
    out = percentile(hu(array), [0, 100]).array[0, 0, 0]
    np.testing.assert_allclose(out[5000:], (inside - 100) / 100, atol=1e-6)
    assert out[:5000].max() == 0.0
    assert percentile(hu(np.full((1, 1, 3, 3), 7.0))).array.max() == 0.0


def test_minmax_reaches_0_and_1_or_takes_two_fixed_values() -> None:
    values = np.array([[-5.0, 0.0, 15.0], [2.0, 2.0, 2.0]]).reshape(2, 1, 1, 3)
    scaled = minmax(hu(values)).array.reshape(2, 3)
    np.testing.assert_allclose(scaled, np.array([[0, 0.25, 1], [0, 0, 0]]), atol=1e-6)
    fixed = minmax(hu(values), [0, 10]).array.reshape(2, 3)
    np.testing.assert_allclose(fixed, np.array([[0, 0, 1], [0.2, 0.2, 0.2]]), atol=1e-6)


def test_zscore_gives_mean_0_and_deviation_1_inside() -> None:
    inside = np.random.default_rng(2).normal(300, 40, 4000)
    array = np.concatenate([np.zeros(6000), inside]).reshape(1, 1, 100, 100)
    out = zscore(hu(array))
    assert out.units == "a.u."
    part = out.array.ravel()[6000:]
    assert (abs(part.mean()), part.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, rel=1e-4))
    whole = zscore(hu(array), over="all").array
    assert (abs(whole.mean()), whole.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, rel=1e-4))
    assert zscore(hu(np.full((1, 1, 4, 4), 3.0))).array.max() == 0.0


def test_clips_keep_the_unit_and_cut_where_they_say() -> None:
    values = np.array([-1000.0, -50.0, 40.25, 900.0]).reshape(1, 1, 1, 4)
    assert clip(hu(values), [-100, 300]).array.ravel().tolist() == [-100, -50, 40.25, 300]
    assert clip_hu(hu(values), [-100, 300]).units == "HU"
    with pytest.raises(UnsuitableScanError, match=r"clip_hu.*Hounsfield"):
        clip_hu(replace(hu(values), units="a.u."), [-100, 300])
    spread = np.concatenate([np.full(500, -1000.0), np.arange(1000.0)]).reshape(1, 1, 1, -1)
    cut = clip_outliers(hu(spread), [10, 90]).array.ravel()
    assert cut[500:].min() == pytest.approx(99.9)
    assert cut[500:].max() == pytest.approx(899.1)
    assert cut[700] == 200.0


def test_hounsfield_units_reach_the_network_finer_than_8_bits() -> None:
    step = 80 / 255 / 16  # a sixteenth of one grey level of an 8-bit brain window
    array = np.repeat((30 + step * np.arange(64)).astype(np.float32)[:, None], 64, axis=1)
    section = recipes.load("haemorrhage-ct", ("inputs.ct.prep=[windows: [[40, 80]], resize: 64]",)).input
    out = prepare(hu(array[None, None]), section)
    assert out.dtype == np.float32
    np.testing.assert_allclose(np.diff(out[0, 0, :, 0]) * 80, step, rtol=1e-3)
    assert len(np.unique(np.round(out * 255))) < 10 < len(np.unique(out)) == 64


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


def test_resize_by_lines_takes_points_and_by_areas_means() -> None:
    stripes = np.tile(np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), 16).reshape(1, 1, 1, 96).repeat(96, axis=2)
    area, lines = (resize(hu(stripes), 32, method=m).array[0, 0, 0] for m in ("area", "linear"))
    assert sorted(set(np.round(area, 3))) == pytest.approx([0.333])
    assert lines.max() == 0.0  # the middle one of each three pixels: the stripes are gone


def test_pick_slices_keeps_both_ends() -> None:
    array = np.arange(9).reshape(1, 9, 1, 1)
    assert pick_slices(hu(array), 3).array.ravel().tolist() == [0, 4, 8]
    assert pick_slices(hu(array), 20).array.shape[1] == 9


def test_colour_refuses_grey_and_weighs_luminance() -> None:
    rgb = Volume(np.full((3, 1, 8, 8), 255.0, np.float32), np.eye(4), "RGB", "", "made", full_scale=255.0)
    np.testing.assert_allclose(colour(rgb, "grey").array, 1.0, atol=1e-6)
    with pytest.raises(UnsuitableScanError, match="colour picture"):
        colour(replace(rgb, array=rgb.array[:1], units="a.u."))


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


def test_steps_that_treat_slices_alone_give_the_same_over_parts_as_over_the_whole() -> None:
    section = Input.model_validate(
        {
            "modality": "CT",
            "prep": [{"clip_hu": [-200, 900]}, {"windows": [[40, 80], [600, 2800]]}, {"resize": [24, 40]}],
        }
    )
    scan = hu(np.random.default_rng(0).normal(40, 400, (1, 7, 60, 90)))
    whole = scan
    for step in section.prep:
        whole = apply(whole, step)
    made = prepared_volume(scan, section)
    np.testing.assert_array_equal(made.array, whole.array)
    np.testing.assert_array_equal(made.affine, whole.affine)
    assert made.units == whole.units


@pytest.mark.parametrize("name", sorted(SLICEWISE))
def test_a_step_that_is_called_slicewise_is(name: str) -> None:
    params: dict[str, object] = {
        "windows": {"value": [[40, 80]]}, "clip": {"value": [-10, 50]}, "clip_hu": {"value": [-10, 50]},
        "resize": {"value": 24}, "colour": {"value": "rgb"}, "full_scale": {},
    }  # fmt: skip
    channels, units = (3, "RGB") if name == "colour" else (1, "a.u." if name == "full_scale" else "HU")
    values = np.random.default_rng(1).uniform(0, 200, (channels, 5, 40, 30)).astype(np.float32)
    scan = Volume(values, np.eye(4), units, "", "x", full_scale=255.0)  # type: ignore[arg-type]
    step = PrepStep.model_validate({"name": name, "params": params[name]})
    one = np.concatenate([apply(replace(scan, array=values[:, k : k + 1]), step).array for k in range(5)], axis=1)
    np.testing.assert_array_equal(apply(scan, step).array, one)
