"""Marks that are no medicine, drawn into a scan: burned-in text, a round field of view, the lesion's outline."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from insula.cohort.phantom.anatomy import Field, Mask

_EDGE = 0.03  # of the side, between the text and the picture's border
_ROUND = 0.49  # of the side: the radius of the field of view


def letters(word: str, size: int) -> Mask:
    """The pixels (size, size) of a word in the upper right corner, where the patient's left is shown.

    A plain bitmap font, enlarged by whole numbers and no wider than the picture.
    """
    font = ImageFont.load_default_imagefont()
    spaced = f" {word}"  # the first glyph begins left of its own box and would be cut
    _, _, right, bottom = font.getbbox(spaced)
    drawing = Image.new("1", (int(right), int(bottom)))
    ImageDraw.Draw(drawing).text((0, 0), spaced, fill=1, font=font)
    small = drawing.crop(drawing.getbbox())
    edge = max(2, round(_EDGE * size))
    times = max(1, min(size // 80, (size - 2 * edge) // small.width))
    drawn = np.kron(np.asarray(small), np.ones((times, times), bool))[: size - edge, : size - 2 * edge]
    out = np.zeros((size, size), bool)
    out[edge : edge + drawn.shape[0], size - edge - drawn.shape[1] : size - edge] = drawn
    return out


def burn(array: Field, mask: Mask, level: float) -> Field:
    """Set the masked pixels of every slice (mask (Y, X)) or of its own slice (mask (Z, Y, X)) to one value."""
    return np.where(mask, np.float32(level), array).astype(np.float32)


def field_of_view(size: int) -> Mask:
    """Pixels (size, size) outside a round field of view."""
    at = np.arange(size) - (size - 1) / 2
    outside: Mask = np.hypot(at[:, None], at[None, :]) > _ROUND * size
    return outside


def outline(mask: Mask) -> Mask:
    """The rim, one pixel wide, of a mask in each slice."""
    rim: Mask = mask & ~binary_erosion(mask, np.ones((1, 3, 3), bool))
    return rim


def on_picture(picture: NDArray[np.uint8], word: str, vignette: bool) -> NDArray[np.uint8]:
    """A colour picture (size, size, 3) with a black word and a black surrounding, where asked for."""
    size = len(picture)
    out = picture.copy()
    if vignette:
        out[field_of_view(size)] = 0
    if word:
        out[letters(word, size)] = (20, 20, 160)
    return out
