"""A head on CT whose pixels the header makes too large, too small or too long."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tiny_bundle import recipe, volume

from insula.core.recipe_policy import Refuse
from insula.core.types import Volume
from insula.infer.suitable_size import of_head

CT, RULES = recipe().input, Refuse()


def head(x: float, y: float, step: float = 10.0, slices: int = 12) -> Volume:
    """An ellipse of 140 by 180 mm where pixels are 1 mm; x, y: what the header says of them."""
    rows, columns = np.mgrid[-128:128, -128:128]
    inside = np.hypot(columns / 70.0, rows / 90.0) < 1.0
    array = np.repeat(np.where(inside, 40.0, -1000.0)[None, None], slices, axis=1).astype(np.float32)
    return replace(volume(), array=array, affine=np.diag([x, y, step, 1.0]))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (1.0, 1.0, ""),
        (0.75, 0.75, ""),  # a newborn
        (1.3, 1.3, ""),
        (2.0, 2.0, " cm² of a body"),
        (0.5, 0.5, " cm² of a body"),
        (1.0, 2.0, "2.6 times as long as it is wide"),
    ],
)
def test_a_wrong_pixel_spacing_is_said(x: float, y: float, said: str) -> None:
    found = of_head(head(x, y), CT, RULES)
    assert bool(found) == bool(said)
    assert said in " ".join(found)


def test_a_part_of_a_head_is_said_and_its_size_is_not_judged() -> None:
    said = ("the slices span 40 mm, less than a whole head: what lies beyond was not seen",)
    assert of_head(head(0.5, 0.5, slices=4), CT, RULES) == said
    assert of_head(head(1.0, 1.0, slices=9), CT, RULES) == ()


def test_a_few_slices_alone_are_not_judged() -> None:
    assert of_head(head(1.0, 1.0, slices=2), CT, RULES) == ()
    single = CT.model_copy(update={"unit": "image"})
    assert of_head(head(1.0, 1.0, slices=4), single, RULES) == ()


def test_only_recipes_for_heads_on_ct_are_judged() -> None:
    wrong = head(2.0, 2.0)
    assert of_head(wrong, CT, Refuse(body_parts=("KNEE",))) == ()
    assert of_head(wrong, CT, Refuse(body_parts=())) == ()
    assert of_head(wrong, CT.model_copy(update={"modality": "MR"}), RULES) == ()
    assert of_head(replace(wrong, units="a.u."), CT, RULES) == ()


def test_a_scan_of_air_has_no_size() -> None:
    air = replace(head(1.0, 1.0), array=np.full((1, 12, 64, 64), -1000.0, np.float32))
    assert "0 cm²" in " ".join(of_head(air, CT, RULES))


@pytest.mark.parametrize("pixels", [1, 2, 19])
def test_of_a_few_large_pixels_no_shape_is_told(pixels: int) -> None:
    array = np.full((1, 12, 64, 64), -1000.0, np.float32)
    array[0, :, : 4 * pixels : 4, 0] = 40.0
    spacing = (10_000.0 / pixels) ** 0.5 / 4
    assert of_head(replace(volume(), array=array, affine=np.diag([spacing, spacing, 10.0, 1.0])), CT, RULES) == ()
