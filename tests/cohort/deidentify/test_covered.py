"""What blanking covered of the head: counted against a made head whose pixels are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.scans.bundled import files
from tests.scans.made_dicom import write

from insula.cohort.deidentify import find_text, one
from insula.cohort.deidentify.covered import head, of_head
from insula.cohort.deidentify.find_text import Box, Grey
from insula.cohort.deidentify.keys import Key
from insula.cohort.deidentify.one import Policy
from insula.cohort.deidentify.run import Job, run

KEY = Key(b"a key of more than sixteen", True)
PROGRAM = find_text.installed()
needs_tesseract = pytest.mark.skipif(PROGRAM is None, reason="Tesseract is not installed (scripts/system-packages ocr)")


def disc(side: int = 200, radius: int = 60) -> Grey:
    """A head of one grey with a dark ventricle within."""
    made = np.zeros((side, side), np.uint8)
    cv2.circle(made, (side // 2, side // 2), radius, 120, -1)
    cv2.circle(made, (side // 2, side // 2), 12, 0, -1)
    return made


def test_the_head_holds_what_it_encloses_and_no_caption_beside_it() -> None:
    plain = disc()
    found = head(plain)
    whole = np.zeros(plain.shape, np.uint8)
    cv2.circle(whole, (100, 100), 60, 1, -1)
    assert (found != (whole > 0)).mean() < 0.005
    captioned = plain.copy()
    cv2.putText(captioned, "DOE JOHN 1961", (5, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    assert (head(captioned) == found).all()
    assert not head(np.zeros((50, 50), np.uint8)).any()
    speck = np.zeros((200, 200), np.uint8)
    speck[90:110, 90:110] = 200
    assert not head(speck).any()


def test_covered_pixels_are_counted_once_in_every_frame() -> None:
    frame = disc()
    inside = Box(0, 90, 90, 16, 6)  # with the two pixels around it 20 x 10
    assert of_head([frame], [inside]) == 200
    assert of_head([frame], [inside, inside, Box(0, 92, 92, 4, 2)]) == 200
    assert of_head([frame, frame], [inside]) == 400
    assert of_head([frame], [Box(0, 4, 4, 60, 10)]) == 0


def captioned(at: tuple[int, int], radius: int = 150) -> Grey:
    """A head with a name in large letters at a place."""
    image = Image.fromarray(disc(400, radius))
    ImageDraw.Draw(image).text(at, "DOE JOHN 1961", fill=255, font=ImageFont.load_default(30))
    return np.asarray(image)


@needs_tesseract
def test_a_caption_on_the_head_is_warned_of_and_one_beside_it_is_not(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    Image.fromarray(captioned((92, 250))).save(old / "1.png")
    Image.fromarray(captioned((10, 5), 90)).save(old / "2.png")
    write(old / "3.dcm", captioned((92, 250)).astype(np.int16) * 4)
    report = run(Job(old, new, frozenset({"shifted-dates"}), "blank"), KEY)
    covered = {row.number: row.on_head for row in report.rows}
    assert [row.pixels for row in report.rows] == ["blanked"] * 3
    assert covered[1] > 1000
    assert covered[2] == 0
    assert covered[3] > 1000
    assert "of the head in 2 files: look at them before they are used" in report.on_head
    assert report.to_dict()["on_head"] == covered[1] + covered[3]
    page = (new / "report.html").read_text(encoding="utf-8")
    assert report.on_head in page
    assert f",{covered[1]}," in (new / "report.csv").read_text(encoding="utf-8")


def test_pixels_without_a_size_have_no_copy(tmp_path: Path) -> None:
    policy = Policy(frozenset({"shifted-dates"}), "keep", None)
    got = one.process(files()["test_files/meta_missing_tsyntax.dcm"], KEY, policy)
    assert (got.status, got.reason) == ("quarantined", "pixels without rows and columns, which cannot be looked at")
