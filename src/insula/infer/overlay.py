"""Heat drawn over a picture: an opacity that grows with the heat, and a colour bar beside it.

Where there is no heat the picture is left as it is, and nothing is ever written on the picture itself.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from insula.core.types import FloatArray
from insula.infer.colours import paint

Picture = NDArray[np.uint8]
_NUMBERED: Final = 96  # rows from which the bar has room for numbers


@dataclass(frozen=True)
class Style:
    """How heat is drawn: a colour map of `colours.NAMES`, the opacity of the strongest heat (0 to 1), and how many
    pixels the picture's shorter side has at least (it is enlarged by a whole number; 0 leaves it as it is).
    """

    colours: str = "inferno"
    opacity: float = 0.7
    least: int = 0


PLAIN: Final = Style()


def enlarge(heat: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Heat (h, w) on (height, width) pixels, bilinear, cell areas aligned."""
    plane = np.ascontiguousarray(heat, np.float32)
    return np.asarray(cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def overlay(picture: FloatArray, heat: FloatArray, scale: float, style: Style = PLAIN) -> Picture:
    """Picture (H, W) or (H, W, 3) in [0, 1] with heat (h, w) drawn over it, as (H, W, 3) bytes.

    scale: the heat that gets the brightest colour; 0 or less draws none, and so does heat of 0 or less.
    """
    base = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    ground = np.asarray(np.clip(base, 0.0, 1.0) * 255.0, np.float32)
    factor = -(-style.least // min(ground.shape[:2]))
    if factor > 1:
        size = (ground.shape[1] * factor, ground.shape[0] * factor)
        ground = np.asarray(cv2.resize(ground, size, interpolation=cv2.INTER_LINEAR), np.float32)
    if scale > 0:
        level = np.clip(enlarge(heat, (ground.shape[0], ground.shape[1])) / np.float32(scale), 0.0, 1.0)
        opacity = (np.float32(style.opacity) * level)[..., None]
        ground = np.asarray(ground * (1.0 - opacity) + paint(level, style.colours) * opacity, np.float32)
    return np.round(ground).astype(np.uint8)


def with_bar(drawn: Picture, scale: float, style: Style = PLAIN) -> Picture:
    """A drawn picture (H, W, 3) with a colour bar to its right: 0 below, `scale` above, with numbers where they fit."""
    height = drawn.shape[0]
    width = max(6, min(drawn.shape[1] // 24, 24))
    ramp = np.linspace(1.0, 0.0, height, dtype=np.float32)[:, None]
    bar = np.repeat(paint(ramp, style.colours), width, axis=1).round().astype(np.uint8)
    gap = np.zeros((height, max(2, width // 3), 3), np.uint8)
    parts = [drawn, gap, bar]
    if height >= _NUMBERED:
        parts.append(_numbers(height, max(scale, 0.0)))
    return np.hstack(parts)


def png(drawn: Picture, scale: float, said: str = "") -> bytes:
    """A drawn picture as PNG; what the bar's ends mean stands in the text fields `Heat at the bar's top` and `Note`."""
    return _png(drawn, {"Heat at the bar's top": f"{max(scale, 0.0):.6g}"}, said)


def _png(drawn: Picture, fields: dict[str, str], said: str) -> bytes:
    text = PngImagePlugin.PngInfo()
    note = " ".join([*([said] if said else []), "Research use only; not a medical device."])
    for name, value in {**fields, "Note": note}.items():
        text.add_text(name, value)
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG", pnginfo=text)
    return stream.getvalue()


def plain_png(picture: FloatArray, style: Style = PLAIN, said: str = "") -> bytes:
    """The picture without heat and without a bar as PNG, as large as its overlay would be."""
    return _png(overlay(picture, np.zeros((1, 1), np.float32), 0.0, style), {}, said)


def overlay_png(picture: FloatArray, heat: FloatArray, scale: float, style: Style = PLAIN, said: str = "") -> bytes:
    """The overlay with its colour bar as PNG; said: one sentence for the file's note."""
    return png(with_bar(overlay(picture, heat, scale, style), scale, style), scale, said)


def _numbers(height: int, scale: float) -> Picture:
    size = max(0.33, min(0.6, height / 900))
    texts = (f"{scale:.3g}", "0")
    (widths, tall) = zip(*(cv2.getTextSize(t, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0] for t in texts), strict=True)
    margin = np.zeros((height, max(widths) + 8, 3), np.uint8)
    for text, row in zip(texts, (tall[0] + 3, height - 4), strict=True):
        cv2.putText(margin, text, (4, row), cv2.FONT_HERSHEY_SIMPLEX, size, (230, 230, 230), 1, cv2.LINE_AA)
    return margin
