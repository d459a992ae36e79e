"""Grey pictures that differ in their detail, as heads do, and copies of them as they come about."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.types import Case, Cohort, Scan, Split

Grey = NDArray[np.uint8]


def head(seed: int, side: int = 160) -> Grey:
    """A ring with texture of its own inside, uint8 (side, side)."""
    rng = np.random.default_rng((seed, 11))
    rows, columns = np.mgrid[0:side, 0:side]
    far = np.hypot((rows - side / 2) / (0.45 * side), (columns - side / 2) / (0.38 * side))
    texture = sum(cv2.GaussianBlur(rng.normal(0, 1, (side, side)), (0, 0), s) * s * 60 for s in (2, 5, 9))
    grey = np.where(far < 0.9, 110 + texture, 0.0) + 200 * ((far >= 0.9) & (far < 1.0))
    made: Grey = np.clip(grey, 0, 255).astype(np.uint8)
    return made


def copied(picture: Grey, quality: int = 60, mirrored: bool = True, scale: float = 0.8) -> Grey:
    """The same picture mirrored, made smaller and recompressed."""
    seen = picture[:, ::-1] if mirrored else picture
    small = np.asarray(cv2.resize(seen, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.asarray(cv2.imdecode(encoded(small, quality), cv2.IMREAD_GRAYSCALE), dtype=np.uint8)


def encoded(picture: Grey, quality: int = 95) -> NDArray[np.uint8]:
    """JPEG bytes."""
    return np.asarray(cv2.imencode(".jpg", np.ascontiguousarray(picture), [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def put(path: Path, picture: Grey, quality: int = 95) -> None:
    """Write a JPEG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(picture, quality).tobytes())


def case(key: str, patient: str, label: str = "stroke", split: Split = "test", **facts: str) -> Case:
    """One picture `<key>.jpg`."""
    scan = Scan((f"{key}.jpg",), "jpeg", attributes={"size": "160x160", "mode": "L"})
    return Case(key, patient, {"ct": scan}, {"answer": (label,)}, facts, split)


def cohort(root: Path, train: int, test: int, first: int = 0) -> Cohort:
    """`train` and `test` patients with a picture each, every other one a stroke, a little brighter in the middle."""
    cases = []
    for i in range(train + test):
        split: Split = "train" if i < train else "test"
        label = ("normal", "stroke")[i % 2]
        picture = head(first + i)
        if label == "stroke":
            picture[60:100, 60:100] = np.minimum(picture[60:100, 60:100].astype(int) + 40, 255)
        one = case(f"{split}-{first + i:03d}", f"N{first + i:03d}", label, split)
        put(root / f"{one.key}.jpg", picture)
        cases.append(one)
    return Cohort(tuple(cases), str(root), "patient")
