"""What every corruption keeps, over every kind of volume; and how much each destroys."""

from __future__ import annotations

import numpy as np
import pytest
from tests.audit.corrupt.made_volumes import KINDS, head, magnitude, picture

from insula.audit.corrupt.corruption import GRADES, Corruption
from insula.audit.corruptions import CORRUPTIONS, chosen
from insula.core.errors import UsageError
from insula.core.types import Volume

ALL = {one.name: one for one in chosen()}
PAIRS = [
    (name, kind) for name in ALL for kind, (volume, modality) in KINDS.items() if ALL[name].suits(volume, modality)
]
COUNT_CHANGES = {"slices_dropped", "slices_cut", "slices_thicker"}


def rng() -> np.random.Generator:
    return np.random.default_rng(17)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_corruption_keeps_what_is_no_value_and_never_writes_into_its_input(name: str, kind: str) -> None:
    volume, one = KINDS[kind][0], ALL[name]
    before = volume.array.copy()
    volume.array.setflags(write=False)
    affine = volume.affine.copy()
    for grade in GRADES:
        found = one(volume, one.strength(grade), rng())
        again = one(volume, one.strength(grade), rng())
        assert found.array.dtype == np.float32
        assert np.isfinite(found.array).all()
        assert np.array_equal(found.array, again.array)
        assert (found.units, found.modality, found.full_scale, found.window) == (
            volume.units,
            volume.modality,
            volume.full_scale,
            volume.window,
        )
        assert found.array.shape[0] == volume.array.shape[0]
        assert found.array.shape[2:] == volume.array.shape[2:]
        if name not in COUNT_CHANGES:
            assert found.array.shape == volume.array.shape
            assert np.array_equal(found.affine, volume.affine)
        if volume.full_scale:
            assert found.array.min() >= 0.0
            assert found.array.max() <= volume.full_scale + 1e-3
        if volume.units == "HU":
            assert found.array.min() >= -1024.0
            assert found.array.max() <= 3071.0
    assert np.array_equal(volume.array, before)
    assert np.array_equal(volume.affine, affine)


def test_every_kind_of_scan_meets_noise_blur_compression_and_contrast_and_every_entry_a_kind() -> None:
    for kind, (volume, modality) in KINDS.items():
        suited = {name for name in ALL if ALL[name].suits(volume, modality)}
        assert {"salt_pepper", "blur", "brighter", "darker", "more_contrast", "less_contrast", "jpeg"} <= suited, kind
        assert len({"noise_ct", "noise_mr", "noise_picture"} & suited) == 1, kind
    assert {name for name, _ in PAIRS} == set(CORRUPTIONS.names())


def error(volume: Volume, changed: Volume) -> float:
    low, high = np.percentile(volume.array, (1, 99))
    if volume.units == "HU":
        low, high = 0.0, 80.0  # what is seen in the brain window
    shown = [np.clip((v.array - low) / (high - low), 0, 1) for v in (volume, changed)]
    return float(np.square(shown[0] - shown[1]).mean())


@pytest.mark.parametrize("name", [name for name in ALL if name not in COUNT_CHANGES])
def test_damage_grows_with_the_grade(name: str) -> None:
    one = ALL[name]
    volume = head(4, 192, 1.2) if "CT" in one.modalities and "HU" in one.units else magnitude(4, 192)
    volume = picture(192) if name in ("noise_picture", "stain") else volume
    errors = [error(volume, one(volume, strength, rng())) for strength in one.strengths]
    assert np.all(np.diff(errors) >= 0), errors
    assert errors[4] > 2 * errors[1] > 0 or name == "resample", errors
    assert errors[4] > 0


@pytest.mark.parametrize("one", ALL.values(), ids=ALL)
def test_an_entry_says_where_its_everyday_grade_comes_from(one: Corruption) -> None:
    assert CORRUPTIONS.get(one.name) is one
    assert len(one.strengths) == len(GRADES) == 5
    assert list(one.strengths) == sorted(set(one.strengths))
    assert 1 <= one.everyday <= 3
    assert len(one.why) > 30
    assert one.strength(one.everyday) == one.strengths[one.everyday - 1]


def test_the_strengths_that_are_asked_for_are_among_the_grades() -> None:
    assert {0.05, 0.1} <= set(ALL["noise_mr"].strengths)
    assert {0.05, 0.1} <= set(ALL["noise_picture"].strengths)
    assert {0.05 * 80, 0.1 * 80} <= set(ALL["noise_ct"].strengths)
    assert 0.05 in ALL["salt_pepper"].strengths
    assert 0.3 in ALL["brighter"].strengths
    assert 0.3 in ALL["darker"].strengths
    assert 0.5 in ALL["more_contrast"].strengths
    assert 0.5 in ALL["less_contrast"].strengths
    pixels = 0.3 * ((5 - 1) * 0.5 - 1) + 0.8  # OpenCV's standard deviation of a kernel of 5 pixels
    assert any(abs(s - 2.3548 * pixels * 240 / 224) < 0.05 for s in ALL["blur"].strengths)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no corruption called 'fog'; known are: .*blur"):
        chosen(("blur", "fog"))
    assert [one.name for one in chosen(("jpeg", "blur", "jpeg"))] == ["jpeg", "blur"]


def test_what_needs_several_slices_or_their_distance_is_not_for_a_picture() -> None:
    one_slice, stack = head(1), head(3)
    for name in COUNT_CHANGES:
        assert not ALL[name].suits(one_slice, "CT")
        assert ALL[name].suits(stack, "CT")
    pages = picture(units="a.u.", slices=4)
    assert ALL["slices_dropped"].suits(pages, "MR")
    assert not ALL["slices_thicker"].suits(pages, "MR")
    assert not ALL["bias_field"].suits(stack, "CT")
    assert not ALL["noise_ct"].suits(pages, "CT")
