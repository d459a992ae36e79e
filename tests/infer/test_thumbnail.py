"""The picture that stands for a case: the right slice, in its colours, of the right size."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insula.bundle.types import Bundle
from insula.core.types import Heatmap, Prediction
from insula.infer.thumbnail import jpeg, of_prediction


def prediction(array: np.ndarray, weights: list[float], p: tuple[float, float] = (0.2, 0.8)) -> Prediction:
    heat = Heatmap(array.astype(np.float32), tuple(range(array.shape[1])), np.array(weights, np.float32))
    probabilities = np.array(p, np.float32)
    return Prediction(
        "k", "b", "answer", ("normal", "stroke"), probabilities, None, (), 0.5, np.zeros(6, np.float32), {"ct": heat}
    )


def grey(found: bytes) -> float:
    with Image.open(io.BytesIO(found)) as image:
        assert image.mode == "L"
        return float(np.asarray(image).mean())


@pytest.mark.parametrize(
    ("weights", "heat_at", "wanted", "by"),
    [([0.1, 0.2, 0.7, 0.0], 1, 2, "weight"), ([0.25] * 4, 1, 1, "heat"), ([0.25] * 4, None, 2, "middle")],
)
def test_the_slice_that_counted_most(
    tiny_bundle: Callable[..., Bundle], weights: list[float], heat_at: int | None, wanted: int, by: str
) -> None:
    array = np.full((2, 4, 3, 3), -1.0)
    array[0, 3] = 9.0  # of the class that was not answered
    if heat_at is not None:
        array[1, heat_at, 1, 1] = 2.0
    views: Any = {"ct": (np.stack([np.full((1, 16, 16), 0.2 * (s + 1), np.float32) for s in range(4)]),)}
    found = of_prediction(prediction(array, weights), views, tiny_bundle().recipe)
    assert (found.scan, found.slice, found.by) == ("ct", wanted, by)
    assert grey(found.jpeg) == pytest.approx(255 * 0.2 * (wanted + 1), abs=2)


def test_size_and_colours() -> None:
    wide = np.zeros((20, 40, 3), np.float32)
    wide[..., 0] = 1.0
    with Image.open(io.BytesIO(jpeg(wide, 64))) as image:
        assert image.size == (64, 32)
        red, green, blue = (int(v) for v in np.asarray(image)[16, 32])
    assert red > 200
    assert max(green, blue) < 60
