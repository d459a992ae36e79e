"""What the graph is fed with: bags side by side under their masks, zeros where a role is missing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.made_fused import SHAPES, recipe

from insula.core.errors import LimitError, UnsuitableScanError
from insula.infer import feed
from insula.infer.feed import of_case

FUSED = recipe()
ALONE = recipe(("ct",), False)
IMAGES = ALONE.model_copy(update={"inputs": {"ct": ALONE.input.model_copy(update={"unit": "image"})}})


def bag(role: str, slices: int, value: float) -> np.ndarray:
    return np.full((slices, *SHAPES[role]), value, np.float32)


def test_bags_stand_in_a_row_and_each_has_its_own_line_of_the_mask() -> None:
    views = {"ct": (bag("ct", 2, 1.0), bag("ct", 3, 2.0)), "mri": (bag("mri", 1, 3.0),)}
    given = of_case(views, (60.0, 1.0, 0.0), SHAPES, FUSED)
    assert list(given) == ["ct", "ct_mask", "mri", "mri_mask", "clinical"]
    assert given["ct"].shape == (1, 5, *SHAPES["ct"])
    assert given["ct"][0, :, 0, 0, 0].tolist() == [1, 1, 2, 2, 2]
    assert given["ct_mask"].tolist() == [[[1, 1, 0, 0, 0], [0, 0, 1, 1, 1]]]
    assert given["mri_mask"].tolist() == [[[1]]]
    assert given["clinical"].tolist() == [[60, 1, 0]]
    assert {array.dtype for array in given.values()} == {np.dtype(np.float32)}


def test_a_missing_role_is_one_empty_slice_outside_of_every_bag() -> None:
    given = of_case({"ct": (bag("ct", 2, 1.0),)}, (math.nan,) * 3, SHAPES, FUSED)
    assert given["mri"].shape == (1, 1, *SHAPES["mri"])
    assert not given["mri"].any()
    assert given["mri_mask"].tolist() == [[[0]]]
    assert np.isnan(given["clinical"]).all()


def test_one_role_without_clinical_columns_has_no_such_input() -> None:
    assert list(of_case({"ct": (bag("ct", 2, 1.0),)}, (), SHAPES, ALONE)) == ["ct", "ct_mask"]


def test_images_are_cases_of_one_slice_whatever_scan_they_are_of() -> None:
    views = {"ct": (bag("ct", 2, 1.0), bag("ct", 1, 2.0))}
    given = of_case(views, (), SHAPES, IMAGES)
    assert given["ct"].shape == (3, 1, *SHAPES["ct"])
    assert given["ct"][:, 0, 0, 0, 0].tolist() == [1, 1, 2]
    assert given["ct_mask"].tolist() == [[[1]]] * 3


def test_too_many_slices_of_all_scans_of_a_role_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_SLICES", 4)
    several = {"ct": (bag("ct", 2, 1.0), bag("ct", 3, 1.0))}
    with pytest.raises(LimitError, match="has 5 slices and one prediction takes at most 4; add a 'pick_slices' step"):
        of_case(several, (), SHAPES, ALONE)
    assert of_case(several, (), SHAPES, IMAGES)["ct"].shape[0] == 5  # images run a few at a time


@pytest.mark.parametrize("settings", [ALONE, IMAGES, FUSED], ids=["series", "images", "fused"])
def test_scans_of_another_size_are_refused_in_words(settings: object) -> None:
    odd = np.zeros((1, 2, 8, 8), np.float32)
    with pytest.raises(UnsuitableScanError, match=r"is \(2, 8, 8\).*takes \(2, 16, 16\) for 'ct'; check the recipe"):
        of_case({"ct": (bag("ct", 2, 1.0), odd)}, (math.nan,) * 3, SHAPES, settings)  # type: ignore[arg-type]
