"""Heads and cohorts that several tests look at, each made once."""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from pathlib import Path

import numpy as np

from insula.cohort.phantom import ct, infarcts
from insula.cohort.phantom.anatomy import Head, build_head, draw_person
from insula.cohort.phantom.ct import SCANNERS, Geometry
from insula.cohort.phantom.lesions import Lesion

Rows = list[dict[str, str]]


@cache
def head(number: int = 0, size: int = 96, slices: int = 24) -> tuple[Head, Geometry]:
    geometry = ct.geometry(np.random.default_rng(5), size, slices, tilted=False)
    return infarcts.with_insula(build_head(draw_person(number, 0), ct.points(geometry))), geometry


def shown(place: tuple[Head, Geometry], *found: Lesion, flat_rest: bool = False) -> np.ndarray:
    """A CT whose noise does not depend on what lies in the head."""
    return ct.hounsfield(place[0], place[1], found, SCANNERS[0], np.random.default_rng(9), flat_rest)


def table(folder: Path, name: str = "truth.csv") -> Rows:
    return list(csv.DictReader((folder / name).read_text().splitlines()))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
