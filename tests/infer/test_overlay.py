from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from insula.infer.colours import paint
from insula.infer.overlay import Style, overlay, overlay_png, plain_png, with_bar

GREY = np.full((32, 40), 0.4, np.float32)


def test_nothing_is_drawn_where_there_is_no_heat() -> None:
    heat = np.zeros((4, 5), np.float32)
    assert (overlay(GREY, heat, 1.0) == 102).all()
    assert (overlay(GREY, heat - 3.0, 1.0) == 102).all()
    assert (overlay(GREY, np.ones_like(heat), 0.0) == 102).all()
    heat[0, 0] = 1.0
    drawn = overlay(GREY, heat, 1.0)
    assert (drawn[16:, 20:] == 102).all()
    assert (drawn[0, 0] != 102).any()


def test_opacity_grows_with_heat() -> None:
    change = [
        float(np.abs(overlay(GREY, np.full((2, 2), h, np.float32), 1.0).astype(int) - 102).sum())
        for h in (0.0, 0.1, 0.3, 0.6, 1.0)
    ]
    assert change == sorted(change)
    assert change[0] == 0 < change[1]


@pytest.mark.parametrize("opacity", [0.0, 0.25, 1.0])
@pytest.mark.parametrize("name", ["inferno", "cividis"])
def test_the_strongest_heat_has_the_opacity_and_the_colour_asked_for(opacity: float, name: str) -> None:
    drawn = overlay(GREY, np.ones((1, 1), np.float32), 1.0, Style(name, opacity))
    wanted = (1 - opacity) * 102 + opacity * paint(np.ones(1, np.float32), name)[0]
    assert np.abs(drawn[5, 5] - wanted).max() <= 0.51


def test_heat_lies_where_the_map_says_and_so_it_does_on_an_enlarged_picture() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[1, 3] = 2.0
    for least in (0, 150):
        drawn = overlay(np.zeros((64, 64), np.float32), heat, 2.0, Style(least=least)).sum(axis=2)
        assert drawn.shape == ((192, 192) if least else (64, 64))
        row, column = np.unravel_index(int(drawn.argmax()), drawn.shape)
        assert [int(row) * 4 // len(drawn), int(column) * 4 // len(drawn)] == [1, 3]


def test_png_has_a_colour_bar_and_says_its_scale() -> None:
    data = overlay_png(GREY, np.zeros((2, 2), np.float32), 3.5, said="Heat: score per cell.")
    with Image.open(io.BytesIO(data)) as image:
        pixels, text = np.asarray(image), dict(image.text)  # type: ignore[attr-defined]
    assert pixels.shape[1] > 40
    assert pixels.shape[0] == 32
    assert (pixels[:, :40] == 102).all()
    assert pixels[0, -1].astype(int).sum() > 500 > pixels[-1, -1].astype(int).sum()
    assert text["Heat at the bar's top"] == "3.5"
    assert text["Note"] == "Heat: score per cell. Research use only; not a medical device."


def test_a_tall_bar_has_its_numbers_beside_it() -> None:
    drawn = np.zeros((200, 100, 3), np.uint8)
    few, many = with_bar(drawn, 3.5), with_bar(drawn, 0.00012345)
    bar = 100 + 2 + 6  # gap of 2, then 6 wide
    assert few.shape[0] == 200
    assert few[:12, bar:].max() > 100 and few[-14:, bar:].max() > 100  # noqa: PT018
    assert few[40:160, bar:].max() == 0
    assert many.shape[1] > few.shape[1]  # the longer number


def test_colour_pictures_stay_in_colour() -> None:
    red = np.zeros((8, 8, 3), np.float32)
    red[..., 0] = 1.0
    assert (overlay(red, np.zeros((2, 2), np.float32), 1.0)[0, 0] == [255, 0, 0]).all()


def test_a_plain_picture_is_as_large_as_its_overlay_and_has_no_bar() -> None:
    with Image.open(io.BytesIO(plain_png(GREY, Style(least=64), "No heat."))) as image:
        assert image.size == (80, 64)
        assert (np.asarray(image) == 102).all()
        assert dict(image.text) == {"Note": "No heat. Research use only; not a medical device."}  # type: ignore[attr-defined]
