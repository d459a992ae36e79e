from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tiny_bundle import FEATURES, parts, recipe, weights

from insula.bundle.baseline_arrays import of_arrays, to_arrays
from insula.bundle.load import load
from insula.bundle.save import save
from insula.bundle.types import Baseline

ROLES = ("ct",)
NEW = ("neighbours", "scale", "scaled", "picture_mean_ct", "picture_precision_ct")


def baseline() -> Baseline:
    g = np.random.default_rng(0)
    return replace(
        parts(recipe(), weights(1, 2)).baseline,
        neighbours=g.normal(size=(9, FEATURES)).astype(np.float16),
        pictures={"ct": (g.normal(size=7), np.eye(7))},
        scale=np.array([[1.0, 2.0], [0.1, 0.4], [0.0, np.inf], [0.5, 1.5]]),
        scaled=np.array([-0.5, 0.0, 0.25, 1.0]),
    )


def test_what_tells_distances_by_part_comes_back_from_a_bundle(tmp_path: Path) -> None:
    made = baseline()
    save(tmp_path / "b", replace(parts(recipe(), weights(1, 2)), baseline=made))
    again = load(tmp_path / "b").baseline
    assert again.neighbours.dtype == np.float16
    np.testing.assert_array_equal(again.neighbours, made.neighbours)
    np.testing.assert_array_equal(again.scale, made.scale)
    np.testing.assert_array_equal(again.scaled, made.scaled)
    for old, new in zip(made.pictures["ct"], again.pictures["ct"], strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_bundle_from_before_them_has_none_and_loads() -> None:
    old = {name: array for name, array in to_arrays(baseline()).items() if name not in NEW}
    assert sorted(old) == sorted(to_arrays(parts(recipe(), weights(1, 2)).baseline))
    found = Baseline(**vars(baseline()) | {"pictures": {}, "scale": np.zeros((0, 2))} | of_arrays(old, ROLES))
    assert len(found.scale) == 0
    assert found.pictures == {}


@pytest.mark.parametrize("name", NEW)
def test_a_part_that_is_missing_is_named(name: str) -> None:
    arrays = to_arrays(baseline())
    del arrays[name]
    if name == "scale":
        assert "neighbours" not in of_arrays(arrays, ROLES)  # without it nothing of the rest is used
    else:
        with pytest.raises(ValueError, match=name):
            of_arrays(arrays, ROLES)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"neighbours": np.zeros((0, FEATURES), np.float16)}, "neighbours"),
        ({"neighbours": np.zeros((3, FEATURES + 1), np.float16)}, "one or more rows of 6"),
        ({"neighbours": np.full((3, FEATURES), np.inf, np.float16)}, "not finite"),
        ({"picture_precision_ct": np.eye(8)}, "a mean of 7"),
        ({"picture_precision_ct": np.tri(7)}, "not symmetric"),
        ({"embedding_precision": np.tri(FEATURES)}, "not symmetric"),
        ({"embedding_precision": np.zeros((FEATURES, FEATURES))}, "not positive definite"),
        ({"embedding_precision": -np.eye(FEATURES)}, "not positive definite"),
        ({"scale": np.ones((3, 2))}, "4 pairs"),
        ({"scale": np.tile([2.0, 1.0], (4, 1))}, "the first number below the second"),
        ({"scale": np.tile([-np.inf, 1.0], (4, 1))}, "the first number below the second"),
        ({"scale": np.tile([0.0, np.nan], (4, 1))}, "not finite"),
        ({"scaled": np.array([1.0, 0.0])}, "rising"),
        ({"scaled": np.zeros(0)}, "one or more"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        of_arrays(to_arrays(baseline()) | change, ROLES)
