from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insula.core.errors import UnsuitableScanError
from insula.core.recipe import Input
from insula.core.types import Volume
from insula.prep.run import apply, prepare, prepared_volume
from insula.prep.windows_resize import windows_resize
from insula.scans import threads

WINDOWS = [[40, 80], [80, 200], [600, 2800]]


def head(y: int, x: int) -> Volume:
    values = np.random.default_rng(4).normal(60, 400, (1, 5, y, x)).astype(np.float32)
    return Volume(values, np.diag([0.5, 0.6, 5.0, 1.0]), "HU", "CT", "made")


def section(**sized: Any) -> Input:
    return Input.model_validate({"modality": "CT", "prep": [{"windows": WINDOWS}, {"resize": sized}]})


@pytest.mark.parametrize(
    ("size", "sized"),
    [
        ((64, 64), {"value": 28}),
        ((60, 44), {"value": 28}),  # padded to a square
        ((44, 60), {"value": [30, 24]}),
        ((24, 24), {"value": 40}),  # grows
        ((64, 48), {"value": 48, "method": "linear"}),
        ((40, 30), {"value": [48, 20], "method": "area"}),  # one side grows
        ((32, 32), {"value": 32}),  # nothing to resize
    ],
)
@pytest.mark.parametrize("count", [1, 3])
def test_one_pass_gives_the_bits_of_two(
    size: tuple[int, int], sized: dict[str, Any], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "COUNT", count)
    monkeypatch.setattr(threads, "_pools", {})
    volume, steps = head(*size), section(**sized)
    apart = apply(apply(volume, steps.prep[0]), steps.prep[1])
    once = prepared_volume(volume, steps)
    assert once.array.dtype == np.float32
    assert (once.array == apart.array).all()
    assert (once.affine == apart.affine).all()
    assert (once.units, once.warnings) == (apart.units, apart.warnings)
    assert (prepare(volume, steps) == apart.array.transpose(1, 0, 2, 3)).all()


def test_the_result_needs_no_copy_for_the_network() -> None:
    steps = section(value=28)
    assert prepared_volume(head(64, 64), steps).array.transpose(1, 0, 2, 3).flags.c_contiguous


def test_pictures_go_the_way_of_two_steps() -> None:
    picture = Volume(np.full((1, 3, 40, 40), 51.0, np.float32), np.eye(4), "a.u.", "CT", "made", full_scale=255.0)
    with pytest.raises(UnsuitableScanError, match=r"windows.*Hounsfield"):
        windows_resize(picture, {"value": WINDOWS}, {"value": 20})
    shown = windows_resize(picture, {"value": WINDOWS, "pictures": "as_shown"}, {"value": 20})
    assert shown.array.shape == (3, 3, 20, 20)
    np.testing.assert_allclose(shown.array, 0.2, rtol=1e-5)
