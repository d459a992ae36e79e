from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.cohort.made_folders import picture

from insula.cohort import burned_in, shown
from insula.scans.read import read

DATA = Path(os.environ.get("INSULA_DATA", Path(__file__).parents[3] / "shared" / "data"))
PLACES = {"top left": (4, 14), "bottom left": (4, -8), "on the head": (60, 110)}


def head(seed: int, side: int = 224) -> NDArray[np.uint8]:
    inside = np.zeros((side, side), np.uint8)
    small = picture(seed, side - 70)
    inside[35:-35, 35:-35] = small
    return inside


def written(
    seed: int, text: str, place: tuple[int, int] = (4, 14), scale: float = 0.4, shade: int = 255
) -> NDArray[np.float32]:
    image = head(seed)
    x, y = place
    cv2.putText(image, text, (x, y % len(image)), cv2.FONT_HERSHEY_SIMPLEX, scale, shade, 1, cv2.LINE_AA)
    return np.asarray(image / 255, dtype=np.float32)


def test_heads_without_text_are_not_suspected() -> None:
    assert sum(burned_in.find(np.asarray(head(seed) / 255, dtype=np.float32)).suspected for seed in range(40)) == 0


@pytest.mark.parametrize("place", ["top left", "bottom left"])
@pytest.mark.parametrize("text", ["DOE JOHN 1961", "TR: 5800.0 ms", "W 400 : L 40"])
def test_text_beside_the_head_is_found(text: str, place: str) -> None:
    found = [burned_in.find(written(seed, text, PLACES[place])).suspected for seed in range(10)]
    assert all(found)


def test_the_row_is_boxed_where_the_text_stands() -> None:
    found = burned_in.find(written(0, "DOE JOHN", (4, 14)))
    ((left, top, width, height),) = [b for b in found.boxes if b[2] > 30][:1]
    assert (left < 10, top < 10) == (True, True)
    assert 35 <= width <= 90
    assert 6 <= height <= 16
    assert 4 <= found.marks <= 10


def test_dark_text_on_a_bright_page() -> None:
    page = np.full((200, 300), 255, np.uint8)
    for k in range(4):
        cv2.putText(page, "Patient report line", (10, 30 + 40 * k), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1, cv2.LINE_AA)
    found = burned_in.find(np.asarray(page / 255, dtype=np.float32))
    assert found.rows >= 4
    assert found.marks > 30


def test_what_it_cannot_see() -> None:
    """A side marker is one letter; faint text lies below the contrast that is asked for."""
    assert not burned_in.find(written(0, "R", scale=0.5)).suspected
    assert not burned_in.find(written(0, "DOE JOHN", shade=30)).suspected


def test_a_flat_picture_and_a_ruler() -> None:
    assert burned_in.find(np.zeros((64, 64), np.float32)) == burned_in.TextMarks(0, 0, ())
    noise = np.random.default_rng(0).random((128, 128)).astype(np.float32)
    assert not burned_in.find(noise).suspected


def _marks(path: Path) -> int:
    volume = read(path)
    return burned_in.find(shown.grey(volume, volume.array.shape[1] // 2, shown.TISSUE)).marks


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")
def test_real_screen_captures_are_full_of_text_and_real_scans_are_not() -> None:
    philips = DATA / "ct_dicom" / "In" / "Philips"
    captures = [_marks(philips / "S21570" / "S4010" / f"I{n}") for n in (40, 50, 60)]
    captures += [_marks(philips / "S21610" / "S4010" / f"I{n}") for n in (30, 40, 50)]
    assert min(captures) >= 50
    scouts = [_marks(philips / "S21570" / "S1000" / "I10"), _marks(philips / "S21570" / "S4010" / "I10")]
    slices = [_marks(p) for p in sorted((DATA / "ct_dicom" / "In" / "GE").glob("*.dcm"))[::4]]
    pictures = [_marks(p) for p in sorted((DATA / "stroke_ct").rglob("*.jpg"))[::40]]
    assert max(scouts + slices + pictures) == 0


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the real scans are not on this machine")
def test_real_pictures_with_captions_are_found() -> None:
    folder = DATA / "brain_tumor_mri" / "Training" / "notumor"
    assert min(_marks(folder / f"Tr-no_{n}.jpg") for n in ("0398", "0707", "0893")) >= 10
