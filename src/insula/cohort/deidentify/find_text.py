"""Text that is part of a picture: lines that look like writing, confirmed by reading them with Tesseract."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from insula.core.errors import LimitError, MissingPartError, ScanError

Grey = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]
_STROKE = 15  # pixels; strokes of writing are narrower
_CONTRAST = 48  # of 255, between a stroke and what is around it
_HEIGHT = (6, 96)  # pixels of a character
_LARGE = 28  # pixels; lower writing is found at full size
_LINE = 44  # pixels; what a line's height is scaled to before it is read
_MARGIN = 22
_PAGE = 40  # lines read at once
_MOST_LINES = 1200  # of one file
_SECONDS = 60
# Tesseract's confidence in a word, of 100, and how many letters or digits such words must have together
_SURE, _LEAST = 60.0, 4
_VERY_SURE, _FEW = 85.0, 3
_LESS_SURE, _MANY = 55.0, 6
_ENDS = 2  # heights of a line
_MAYBE, _MAYBE_LEAST = 30.0, 2  # for a line in a picture where other writing is sure
_READABLE = re.compile(r"[A-Za-z0-9]")


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels of one frame, counted from 0."""

    frame: int
    x: int
    y: int
    width: int
    height: int


class TooManyLinesError(LimitError):
    """A picture with more that looks like writing than can be read in good time."""


def installed() -> str | None:
    """The path of Tesseract, or None where it is not installed."""
    return shutil.which("tesseract")


def reader() -> str:
    """The path of Tesseract; MissingPartError where it is not installed."""
    found = installed()
    if found is None:
        raise MissingPartError(
            "Text in pictures is found by Tesseract, which is not installed; run scripts/system-packages ocr, or "
            "choose --burned-in quarantine."
        )
    return found


def find(frames: Iterable[Grey], program: str) -> tuple[Box, ...]:
    """The lines of writing in some grey frames (Y, X), 0 black and 255 white.

    A line counts when Tesseract reads at least four letters or digits of it with a confidence of 60 of 100, or three
    with 85, or six with 55: a lone side marker (L, R) does not count. Where one line counts, what is less sure and
    what goes on from it on the same level counts too. Writing lower than 6 pixels or higher than about 190 is not
    found, nor is handwriting. The same line at the same place of several frames is read once. Raises LimitError when a
    picture takes too long.
    """
    lines: dict[tuple[Rectangle, bytes], tuple[Box, Grey]] = {}
    for index, frame in enumerate(frames):
        for box in candidates(frame):
            crop = _crop(frame, box)
            lines.setdefault((box, crop.tobytes()), (Box(index, *box), crop))
    if len(lines) > _MOST_LINES:
        raise TooManyLinesError(f"There are {len(lines)} rows of marks, more than the {_MOST_LINES} that are read.")
    boxes, crops = [box for box, _ in lines.values()], [crop for _, crop in lines.values()]
    marks = _read_all(crops, program)
    unsure = [k for k, mark in enumerate(marks) if mark == 1]
    for k, mark in zip(unsure, _read_all([_smaller(crops[k]) for k in unsure], program), strict=True):
        marks[k] = max(mark, 1)
    if 2 not in marks:
        return ()
    taken = {k for k, mark in enumerate(marks) if mark}
    while more := {k for k, box in enumerate(boxes) if k not in taken and any(_goes_on(box, boxes[j]) for j in taken)}:
        taken |= more
    return tuple(sorted((_wider(boxes[k]) for k in taken), key=lambda box: (box.frame, box.y, box.x)))


def _wider(box: Box) -> Box:
    """A line with the room of about three characters at both ends, for those that ran into what is beside them."""
    left, above = max(box.x - _ENDS * box.height, 0), box.height // 8
    top = max(box.y - above, 0)
    right, bottom = box.x + box.width + _ENDS * box.height, box.y + box.height + above
    return Box(box.frame, left, top, right - left, bottom - top)


def _goes_on(box: Box, line: Box) -> bool:
    """Whether a box stands right beside a line, on its level and of about its height."""
    apart = max(box.x, line.x) - min(box.x + box.width, line.x + line.width)
    shared = min(box.y + box.height, line.y + line.height) - max(box.y, line.y)
    alike = 0.5 <= box.height / line.height <= 2.0
    return (
        box.frame == line.frame and alike and apart <= 2 * line.height and shared >= 0.5 * min(box.height, line.height)
    )


def candidates(frame: Grey) -> list[Rectangle]:
    """Boxes (x, y, width, height) of rows of small marks of like height: what writing looks like before it is read.

    Looked for at full and at half size, where the strokes of large writing are narrow too.
    """
    found = _candidates(frame)
    if min(frame.shape) >= 64:
        half = np.asarray(cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)
        doubled = [(2 * x, 2 * y, 2 * w, 2 * h) for x, y, w, h in _candidates(half) if h >= _LARGE // 2]
        found += [box for box in doubled if not any(_same(box, other) for other in found)]
    return found


def _same(a: Rectangle, b: Rectangle) -> bool:
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared > 0.6 * (a[2] * a[3] + b[2] * b[3] - shared)


def _candidates(frame: Grey) -> list[Rectangle]:
    found: list[Rectangle] = []
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_STROKE, _STROKE))
    for kind in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
        strokes = cv2.morphologyEx(frame, kind, kernel)
        mask = (strokes >= _CONTRAST).astype(np.uint8)
        found += _lines(mask)
    return found


def _lines(mask: NDArray[np.uint8]) -> list[Rectangle]:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    marks = [
        (int(x), int(y), int(w), int(h))
        for x, y, w, h, area in stats[1:count]
        if 1 < h <= _HEIGHT[1] and w <= 4 * _HEIGHT[1] and area >= 3
    ]
    tall = sorted((m for m in marks if m[3] >= _HEIGHT[0] and m[2] <= 12 * m[3]), key=lambda m: m[0])
    rows: list[list[Rectangle]] = []
    for mark in tall:
        for row in reversed(rows[-200:]):
            last = row[-1]
            high = max(last[3], mark[3])
            apart = mark[0] - (last[0] + last[2])
            overlap = min(last[1] + last[3], mark[1] + mark[3]) - max(last[1], mark[1])
            if (
                -high <= apart <= 1.6 * high
                and overlap >= 0.5 * min(last[3], mark[3])
                and mark[3] <= 2.2 * last[3] <= 4.84 * mark[3]
            ):
                row.append(mark)
                break
        else:
            rows.append([mark])
    boxes = []
    for row in rows:
        left, top = min(m[0] for m in row), min(m[1] for m in row)
        right, bottom = max(m[0] + m[2] for m in row), max(m[1] + m[3] for m in row)
        high = bottom - top
        if (len(row) >= 2 or right - left >= 2 * high) and right - left >= 1.2 * high and high <= 1.5 * _HEIGHT[1]:
            boxes.append((left, top, right - left, high))
    return boxes


def _crop(frame: Grey, box: Rectangle) -> Grey:
    """A line dark on light, at the height that reading works best with."""
    x, y, w, h = box
    pad = max(2, h // 4)
    part = frame[max(y - pad, 0) : y + h + pad, max(x - pad, 0) : x + w + pad]
    low, high = float(part.min()), float(part.max())
    scaled = (part.astype(np.float32) - low) * (255.0 / max(high - low, 1.0))
    if np.median(scaled) < 128:
        scaled = 255.0 - scaled
    factor = _LINE / h
    size = (min(4000, max(1, round(part.shape[1] * factor))), max(1, round(part.shape[0] * factor)))
    return np.asarray(
        cv2.resize(scaled, size, interpolation=cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA).clip(0, 255), np.uint8
    )


def _smaller(crop: Grey) -> Grey:
    """A line once more at 0.7 of its height: writing can be read at both, tissue seldom says anything twice."""
    return np.asarray(cv2.resize(crop, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA), np.uint8)


def _read_all(crops: Sequence[Grey], program: str) -> list[int]:
    marks: list[int] = []
    for start in range(0, len(crops), _PAGE):
        marks += _read(crops[start : start + _PAGE], program)
    return marks


def _read(crops: Sequence[Grey], program: str) -> list[int]:
    """Of each line 2 where it is surely writing, 1 where it may be, else 0; one call of Tesseract, a page each."""
    found: list[list[tuple[int, float]]] = [[] for _ in crops]
    for page, word, sure in _words(crops, program):
        letters = len(_READABLE.findall(word))
        if letters >= _MAYBE_LEAST and 0 <= page < len(found):
            found[page].append((letters, sure))
    return [_mark(words) for words in found]


def _mark(words: list[tuple[int, float]]) -> int:
    def letters(confidence: float) -> int:
        return sum(count for count, sure in words if sure >= confidence)

    if letters(_SURE) >= _LEAST or letters(_VERY_SURE) >= _FEW or letters(_LESS_SURE) >= _MANY:
        return 2
    return 1 if letters(_MAYBE) >= _MAYBE_LEAST else 0


def _words(crops: Sequence[Grey], program: str) -> Iterable[tuple[int, str, float]]:
    """Page, text and confidence of each word that Tesseract sees, each page taken for one line."""
    stream = io.BytesIO()
    first, *rest = [Image.fromarray(np.pad(crop, _MARGIN, constant_values=255)) for crop in crops]
    first.save(stream, "TIFF", save_all=True, append_images=rest)
    command = [program, "stdin", "stdout", "--psm", "7", "-l", "eng", "tsv"]
    try:
        done = subprocess.run(  # the picture goes in by a pipe: nothing of it lies on the disk
            command,
            input=stream.getvalue(),
            capture_output=True,
            timeout=_SECONDS,
            env={**os.environ, "OMP_THREAD_LIMIT": "1"},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LimitError(f"Tesseract took more than {_SECONDS} s on one picture; crop it.") from error
    if done.returncode:
        raise ScanError("Tesseract could not read a picture; check that its English data are installed.")
    rows = csv.DictReader(io.StringIO(done.stdout.decode("utf-8", "replace")), delimiter="\t", quoting=csv.QUOTE_NONE)
    for row in rows:
        if row.get("level") == "5" and (row.get("text") or "").strip():
            yield int(row["page_num"]) - 1, str(row["text"]), float(row["conf"])
