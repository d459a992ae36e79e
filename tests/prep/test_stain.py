from dataclasses import replace

import numpy as np
import pytest

from insula.core import recipe as recipes
from insula.core.errors import RecipeError, UnsuitableScanError
from insula.core.recipe import PrepStep
from insula.core.types import Volume
from insula.prep import stain as module
from insula.prep.run import apply, channels
from insula.prep.stain import LIGHT, STAINS, STRENGTH, stain, stain_vectors

# Haematoxylin and eosin of Ruifrok and Johnston (2001), and a purpler, weaker pair as another laboratory's
RUIFROK = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]]).T
OTHER = np.array([[0.60, 0.62, 0.50], [0.20, 0.93, 0.30]]).T


def mixture(stains: np.ndarray, strength: tuple[float, float] = (1.0, 1.0), seed: int = 0, side: int = 96) -> Volume:
    """A picture by Beer-Lambert: blobs of each stain alone and of both, a quarter of it glass."""
    g = np.random.default_rng(seed)
    amount = g.gamma(2.0, 0.5, (side * side, 2)) * np.array(strength)
    kind = g.integers(0, 4, side * side)
    amount[kind == 0] = 0.0
    amount[kind == 1, 1] = 0.0
    amount[kind == 2, 0] = 0.0
    unit = stains / np.linalg.norm(stains, axis=0)
    light = LIGHT * np.exp(-amount @ unit.T) - 1.0
    array = light.T.reshape(3, 1, side, side).astype(np.float32)
    return Volume(array, np.eye(4), "RGB", "SM", "made", full_scale=255.0)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


def distance(a: Volume, b: Volume) -> float:
    """How far apart the mean colours of two pictures are, in steps of 255."""
    return float(np.linalg.norm(a.array.mean(axis=(1, 2, 3)) - b.array.mean(axis=(1, 2, 3))))


@pytest.mark.parametrize("stains", [RUIFROK, OTHER], ids=["ruifrok", "other"])
def test_the_two_stains_of_a_known_mixture_are_found(stains: np.ndarray) -> None:
    pixels = mixture(stains).array.reshape(3, -1).T
    density = -np.log((pixels + 1) / LIGHT)
    found = stain_vectors(pixels[(density > 0.15).all(axis=1)])
    assert found is not None
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), 1.0)
    assert degrees(found[:, 0], stains[:, 0]) < 2.0
    assert degrees(found[:, 1], stains[:, 1]) < 2.0


def test_macenko_gives_the_reference_stains_and_strengths() -> None:
    out = stain(mixture(OTHER, (0.7, 1.4)), "macenko")
    pixels = out.array.reshape(3, -1).T
    stained = pixels[(-np.log((pixels + 1) / LIGHT) > 0.15).all(axis=1)]
    found = stain_vectors(stained)
    assert found is not None
    assert degrees(found[:, 0], STAINS[:, 0]) < 3.0
    assert degrees(found[:, 1], STAINS[:, 1]) < 3.0
    strength = np.percentile(-np.log((stained + 1) / LIGHT) @ np.linalg.pinv(found).T, 99, axis=0)
    np.testing.assert_allclose(strength, STRENGTH, rtol=0.12)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_two_laboratories_come_closer(method: str) -> None:
    one, two = mixture(RUIFROK, (1.2, 0.6)), mixture(OTHER, (0.7, 1.1))
    before = distance(one, two)
    after = distance(apply(one, PrepStep(name="stain", params={"method": method})), stain(two, method))  # type: ignore[arg-type]
    assert before > 20
    assert after < before / 2.5


def test_reinhard_gives_the_stained_pixels_the_reference_mean_and_spread() -> None:
    source = mixture(RUIFROK)
    out = stain(source, "reinhard")
    deep = module._density(source.array.reshape(3, -1).T).mean(axis=1) > 0.15
    lab = module._lab(out.array.reshape(3, -1).T[deep])
    np.testing.assert_allclose(lab.mean(axis=0), module.MEAN, atol=0.06)
    np.testing.assert_allclose(lab.std(axis=0), module.DEVIATION, rtol=0.15)


def test_colour_and_back_is_the_same_colour() -> None:
    colours = np.random.default_rng(0).uniform(5, 255, (50, 3))
    back = np.exp(module._lab(colours) @ np.linalg.inv(module._AXES).T) @ np.linalg.inv(module._CONES).T
    np.testing.assert_allclose(back, colours, rtol=1e-9)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_glass_stays_light_and_a_tile_with_little_stain_is_left_as_it_is(method: str) -> None:
    made = stain(mixture(RUIFROK), method)  # type: ignore[arg-type]
    glass = mixture(RUIFROK).array.min(axis=0) > 235
    assert made.array[:, glass].min() > 215
    empty = replace(mixture(RUIFROK), array=np.full((3, 1, 64, 64), 242.0, np.float32))
    kept = stain(empty, method)  # type: ignore[arg-type]
    assert (kept.array == empty.array).all()
    assert kept.warnings == ("stain not normalised: too little of it is stained",)


def test_one_stain_alone_is_not_taken_for_two() -> None:
    eosin = mixture(np.stack([RUIFROK[:, 1], RUIFROK[:, 1]], axis=1))
    kept = stain(eosin, "macenko")
    assert kept.warnings == ("stain not normalised: its two stains cannot be told apart",)
    assert (kept.array == eosin.array).all()


def test_a_tile_keeps_its_place_among_the_tiles_of_its_slide() -> None:
    pale, deep = mixture(RUIFROK, (0.3, 0.3), 1), mixture(RUIFROK, (1.0, 1.0), 2)
    both = replace(pale, array=np.concatenate([pale.array, deep.array], axis=1))
    out = stain(both, "macenko").array
    assert out[:, 0].mean() > out[:, 1].mean() + 20


def test_scans_and_orders_that_make_no_sense() -> None:
    hu = Volume(np.zeros((1, 1, 8, 8), np.float32), np.eye(4), "HU", "CT", "made")
    with pytest.raises(UnsuitableScanError, match="needs a colour picture"):
        stain(hu)
    with pytest.raises(RecipeError, match="before 'colour'"):
        stain(apply(mixture(RUIFROK), PrepStep(name="colour", params={"value": "rgb"})))
    with pytest.raises(RecipeError, match="'macenko' or 'reinhard'"):
        apply(mixture(RUIFROK), PrepStep(name="stain", params={"method": "vahadane"}))
    section = recipes.load("clot-origin", ("inputs.slide.prep=[{stain: {method: macenko}}, {colour: rgb}]",)).input
    assert channels(section) == 3
