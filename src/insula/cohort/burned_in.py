"""Whether a picture may bear burned-in text, told without reading it: rows of small marks of one height on even ground.

This is a suspicion, not a reading: single letters (a side marker), hand-writing and text over structured tissue go
unseen, and rulers or grids may be taken for text.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray

_CONTRAST = 56  # of 255: how far a stroke stands out from its ground
_FAINT = 40  # the same near the edge of a picture, where heads seldom are and captions often
_EDGE = 0.15  # of the width or height
_EVEN = 14.0  # of 255: how far the ground may vary below and between the marks
_LEAST_HEIGHT = 5
_LEAST_MARKS = 4
_ALIGNED = 0.7
_WIDE, _LONGEST = 1.6, 15.0  # widths in heights: more is no single letter, no word
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class TextMarks:
    """How many letter-like marks stand in rows, in how many rows, and the rows' boxes (left, top, width, height)."""

    marks: int
    rows: int
    boxes: tuple[Box, ...]

    @property
    def suspected(self) -> bool:
        """Whether somebody should look."""
        return self.rows > 0


def find(picture: FloatArray) -> TextMarks:
    """Rows of letter-like marks in a picture (Y, X) in [0, 1], bright on dark or dark on bright.

    Strokes are what a morphological opening wider than a stroke takes away (top-hat); their connected components are
    kept by size and fill, and joined to rows by height, place and distance, as text detectors by connected components
    do (Epshtein et al., CVPR 2010; Jain and Yu, Pattern Recognition 31, 1998). A row counts with four marks or more,
    most of them on one line, on a ground that is even.
    """
    eight = (255.0 * picture).astype(np.uint8)
    boxes: dict[Box, int] = {}
    for image in (eight, 255 - eight):
        boxes |= {box: count for count, box in _rows(image, _CONTRAST)}
        for count, box in _rows(image, _FAINT):
            if _at_edge(box, picture.shape) and not any(_overlap(box, other) for other in boxes):
                boxes[box] = count
    return TextMarks(sum(boxes.values()), len(boxes), tuple(boxes))


def _at_edge(box: Box, shape: tuple[int, ...]) -> bool:
    """Whether a row lies within the strip along one edge."""
    left, top, width, height = box
    rows, columns = shape[0], shape[1]
    return (
        top + height <= _EDGE * rows
        or top >= (1 - _EDGE) * rows
        or left + width <= _EDGE * columns
        or left >= (1 - _EDGE) * columns
    )


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def _rows(image: NDArray[np.uint8], contrast: int) -> list[tuple[int, Box]]:
    side = max(image.shape)
    width = 2 * int(np.ceil(side / 150)) + 3
    kernel = np.ones((width, width), np.uint8)
    hat = cv2.morphologyEx(image, cv2.MORPH_TOPHAT, kernel)
    strokes = (hat > contrast).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    marks = stats[1:]
    w, h, area = marks[:, 2], marks[:, 3], marks[:, 4]
    good = (h >= _LEAST_HEIGHT) & (h <= max(12, side // 16)) & (w <= _LONGEST * h) & (area >= 5)
    good &= area / (w * h) > 0.15
    marks = marks[good]
    letters = np.array([_letters(strokes, mark) for mark in marks], dtype=int)
    marks, letters = marks[letters > 0], letters[letters > 0]
    if letters.sum() < _LEAST_MARKS:
        return []
    found = []
    for group in _joined(marks):
        total = int(letters[group].sum())
        if total < (_LEAST_MARKS if len(group) > 1 else _LEAST_MARKS + 1):
            continue
        if _on_a_line(marks[group]) and _on_even_ground(image, strokes, marks[group]):
            left, top = marks[group, 0].min(), marks[group, 1].min()
            right = (marks[group, 0] + marks[group, 2]).max()
            bottom = (marks[group, 1] + marks[group, 3]).max()
            found.append((total, (int(left), int(top), int(right - left), int(bottom - top))))
    return found


def _letters(strokes: NDArray[np.uint8], mark: NDArray[np.int32]) -> int:
    """How many letters a mark may be: one, or several that touch, with strokes all along; 0 for no letters."""
    x, y, w, h = (int(v) for v in mark[:4])
    if w <= _WIDE * h:
        return 1
    part = strokes[y : y + h, x : x + w]
    starts = (np.diff(part, axis=1, prepend=0) == 1).sum(axis=1)
    return round(w / (0.75 * h)) if starts.mean() >= w / h else 0


def _joined(marks: NDArray[np.int32]) -> list[list[int]]:
    """Groups of neighbours: of like height, on one level, less than their height apart."""
    order = np.argsort(marks[:, 0], kind="stable")
    parent = list(range(len(marks)))

    def top(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for place, i in enumerate(order):
        x, y, w, h = (int(v) for v in marks[i, :4])
        for j in order[place + 1 :]:
            x2, y2, _, h2 = (int(v) for v in marks[j, :4])
            if x2 - (x + w) > 1.2 * h:
                if x2 - x > 4 * h:
                    break
                continue
            if 0.55 <= h2 / h <= 1.8 and abs((y2 + h2 / 2) - (y + h / 2)) <= 0.4 * max(h, h2):
                parent[top(int(j))] = top(int(i))
    groups: dict[int, list[int]] = {}
    for i in range(len(marks)):
        groups.setdefault(top(i), []).append(i)
    return list(groups.values())


def _on_a_line(marks: NDArray[np.int32]) -> bool:
    """Whether most marks stand on one line and have one of two heights, as letters do."""
    bottoms, heights = marks[:, 1] + marks[:, 3], marks[:, 3]
    slack = max(1.0, 0.12 * float(np.median(heights)))
    level = np.abs(bottoms - np.median(bottoms)) <= slack
    tall = np.abs(heights - np.median(heights)) <= max(1.0, 0.3 * float(np.median(heights)))
    span = int((marks[:, 0] + marks[:, 2]).max() - marks[:, 0].min())
    return bool(level.mean() >= _ALIGNED and tall.mean() >= _ALIGNED and span >= 2.5 * np.median(heights))


def _on_even_ground(image: NDArray[np.uint8], strokes: NDArray[np.uint8], marks: NDArray[np.int32]) -> bool:
    """Whether what lies between the strokes of a row, and just around it, is one shade."""
    margin = max(2, int(0.3 * np.median(marks[:, 3])))
    left, top = max(0, int(marks[:, 0].min()) - margin), max(0, int(marks[:, 1].min()) - margin)
    right = int((marks[:, 0] + marks[:, 2]).max()) + margin
    bottom = int((marks[:, 1] + marks[:, 3]).max()) + margin
    ground = image[top:bottom, left:right]
    near = cv2.dilate(strokes[top:bottom, left:right], np.ones((3, 3), np.uint8))
    around = ground[near == 0]
    if len(around) < 0.15 * ground.size:
        return False
    low, high = np.percentile(around, (10, 90))
    return bool(high - low <= 2 * _EVEN)
