"""Colours that can be seen and told apart, on white and on dark, by people with any common colour vision."""

from __future__ import annotations

import re
from itertools import combinations

import numpy as np
import pytest

from insula.core.style import sheet
from insula.report.draw import COLOURS

# Machado, Oliveira and Fernandes, IEEE Transactions on Visualization and Computer Graphics 15:1291, 2009; severity 1.
VISION = {
    "common": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def themes() -> dict[str, dict[str, str]]:
    light, dark = (dict(re.findall(r"--(\w+(?:-\w+)?): (#[0-9a-f]{3,6});", part)) for part in halves())
    return {"light": light, "dark": dark}


def halves() -> tuple[str, str]:
    first, _, rest = sheet().partition("prefers-color-scheme: dark")
    return first, rest.partition("@media")[0]


def linear(colour: str) -> np.ndarray:
    digits = colour.lstrip("#")
    full = "".join(d * 2 for d in digits) if len(digits) == 3 else digits
    part = np.array([int(full[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    """WCAG 2.2's contrast ratio."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    high, low = sorted((float(linear(a) @ weights), float(linear(b) @ weights)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(rgb, 0, 1)
    f = np.cbrt(np.maximum(xyz / np.array([0.9505, 1.0, 1.089]), 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_paper(theme: str) -> None:
    colours = themes()[theme]
    for name in ("ink", "soft", "head", "warn", "good"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    assert contrast(colours["ink"], colours["warn-wash"]) >= 4.5
    assert contrast(colours["soft"], colours["wash"]) >= 4.5
    for letter in COLOURS:
        assert contrast(colours[letter], colours["paper"]) >= 3, letter


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISION)
def test_the_colours_that_share_a_chart_differ_for_everybody(theme: str, vision: str) -> None:
    colours = themes()[theme]
    seen = {letter: lab(VISION[vision] @ linear(colours[letter])) for letter in "abg"}
    for one, other in combinations("abg", 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_a_chart_alone_has_the_colours_of_the_light_page() -> None:
    light = themes()["light"]
    assert {letter: light[letter] for letter in COLOURS} == COLOURS


def test_the_sheet_is_for_a_phone_and_for_paper_and_asks_for_nothing() -> None:
    text = sheet()
    assert "@page { size: A4" in text
    assert "@media print" in text
    assert "max-width: 640px" in text
    assert "thead { display: table-header-group; }" in text
    assert not re.search(r"url\(|@import|https?:|</", text)
    assert text.count("{") == text.count("}")
