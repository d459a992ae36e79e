from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insula.core.errors import UsageError
from insula.core.recipe import Input
from insula.core.types import Volume
from insula.infer.shown_window import pictures
from insula.prep.run import prepare


def section(*prep: Any, modality: str = "CT") -> Input:
    return Input.model_validate({"modality": modality, "prep": list(prep)})


def scan(units: Any = "HU", modality: str = "CT") -> Volume:
    ramp = np.linspace(-100, 300, 3 * 16 * 16, dtype=np.float32).reshape(1, 3, 16, 16)
    return Volume(ramp, np.diag([1.0, 1.0, 3.0, 1.0]), units, modality, "made")


CT = section({"windows": [[40, 80], [600, 2800]]})


def test_a_window_in_hounsfield_units() -> None:
    volume = scan()
    shown = pictures(prepare(volume, CT), volume, CT, (100.0, 200.0))
    assert len(shown) == 3
    np.testing.assert_allclose(np.stack(shown), np.clip(volume.array[0] / 200.0, 0, 1), atol=1e-6)


def test_without_one_a_channel_of_the_recipe_is_shown() -> None:
    volume = scan()
    prepared = prepare(volume, CT)
    for channel, (centre, width) in enumerate([(40, 80), (600, 2800)]):
        shown = np.stack(pictures(prepared, volume, CT, channel=channel))
        np.testing.assert_allclose(shown, np.clip((volume.array[0] - centre) / width + 0.5, 0, 1), atol=1e-5)
    with pytest.raises(UsageError, match="2 channels, counted from 0, and 2 is none of them"):
        pictures(prepared, volume, CT, channel=2)


def test_where_there_are_no_hounsfield_units_a_window_is_of_the_prepared_values() -> None:
    mr = section("zscore", modality="MR")
    volume = scan("a.u.", "MR")
    prepared = prepare(volume, mr)
    shown = np.stack(pictures(prepared, volume, mr, (0.0, 4.0)))
    np.testing.assert_allclose(shown, np.clip(prepared[:, 0] / 4.0 + 0.5, 0, 1), atol=1e-6)


def test_a_window_that_cannot_be_shown_is_refused() -> None:
    volume = scan()
    with pytest.raises(UsageError, match="0 wide shows nothing"):
        pictures(prepare(volume, CT), volume, CT, (40.0, 0.0))
    slide = section("colour", {"resize": 16}, modality="SM")
    red = Volume(np.ones((3, 1, 16, 16), np.float32) * 255, np.eye(4), "RGB", "SM", "made", 255.0)
    with pytest.raises(UsageError, match="colour picture has no window"):
        pictures(prepare(red, slide), red, slide, (40.0, 80.0))


def test_a_window_that_would_crop_another_region_is_refused() -> None:
    head = section({"windows": [[40, 80]]}, "crop_to_head", {"resize": 16})
    array = np.full((1, 3, 64, 64), -1000.0, np.float32)
    array[:, :, 8:56, 8:56] = -60.0  # fat around the head: black in the recipe's window
    array[:, :, 20:44, 20:44] = 40.0
    volume = Volume(array, np.eye(4), "HU", "CT", "made")
    prepared = prepare(volume, head)
    assert len(pictures(prepared, volume, head, (40.0, 90.0))) == 3
    with pytest.raises(UsageError, match="this window would crop another region"):
        pictures(prepared, volume, head, (-60.0, 100.0))
