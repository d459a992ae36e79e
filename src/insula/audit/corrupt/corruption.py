"""What a corruption is: a change of the scan as a scanner or an archive makes it, at five graded strengths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from insula.core.types import Units, Volume

Change = Callable[[Volume, float, np.random.Generator], Volume]
GRADES: Final = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Corruption:
    """One entry of the table of corruptions.

    strengths: from the weakest grade (1) to the strongest (5), in `unit`. everyday: the grade by which ordinary
    scanners and archives differ. why: where that strength comes from, in a sentence. modalities: of the recipes it is
    for. units: of the values it takes. stack: whether it needs several slices; deep: whether the distance between
    them has to be known as well. asked: well-known strengths among the grades, in words for the docs.
    change: (volume, strength, rng) to the changed volume; it never writes into the volume that it is given, keeps its
    units, and with one state of the generator gives one result.
    """

    name: str
    title: str
    unit: str
    strengths: tuple[float, float, float, float, float]
    everyday: int
    why: str
    change: Change
    modalities: tuple[str, ...] = ("CT", "MR", "SM", "OT")
    units: tuple[Units, ...] = ("HU", "a.u.", "RGB")
    stack: bool = False
    deep: bool = False
    asked: str = ""

    def __call__(self, volume: Volume, strength: float, rng: np.random.Generator) -> Volume:
        """The changed volume."""
        return self.change(volume, strength, rng)

    def strength(self, grade: int) -> float:
        """The strength of a grade, 1 to 5."""
        return self.strengths[GRADES.index(grade)]

    def suits(self, volume: Volume, modality: str) -> bool:
        """Whether it is for such a volume under a recipe of this modality."""
        if modality not in self.modalities or volume.units not in self.units:
            return False
        if self.stack and volume.array.shape[1] < 2:
            return False
        return not self.deep or placed(volume)


def placed(volume: Volume) -> bool:
    """Whether the file says how large its voxels are, as `prep.geometry.resample` asks it."""
    return not (np.array_equal(volume.affine, np.eye(4)) or any("1 mm assumed" in note for note in volume.warnings))
