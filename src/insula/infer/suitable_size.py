"""Is a head on CT as large as heads are, and is it whole? The header's millimetres tell what the network cannot see."""

from __future__ import annotations

from typing import Final

import numpy as np

from insula.core.recipe import Input
from insula.core.recipe_policy import Refuse
from insula.core.types import Volume

_AIR: Final = -300.0  # HU; skin and all within it lie above
# of the largest slice: a circle 30 cm around, less than at birth; twice a large head, for what lies beside it
_LEAST_MM2, _MOST_MM2 = 7_100.0, 60_000.0
_LONGEST: Final = 1.9  # longer to shorter axis: heads have 1.2 to 1.5
_WHOLE_MM: Final = 90.0  # from below upwards; a newborn's head is 100 mm high
_SOME_MM: Final = 30.0  # whoever gives less than this gives a few slices, and knows it
_STEP: Final = 4  # one pixel in so many of a side
_FEW: Final = 20  # of such pixels, from which no shape can be told
_HEADS: Final = frozenset({"HEAD", "BRAIN", "SKULL", "CRANI", "CEREB", "NEURO"})


def of_head(volume: Volume, section: Input, rules: Refuse) -> tuple[str, ...]:
    """A warning where a scan (1, Z, Y, X) has a size or shape that no head has, for recipes that take heads on CT.

    Of scans that span less than 90 mm nothing is said but that; a few slices may all be of the vertex, which is small.
    Of others what is not air is measured in the slice that shows the most of it.
    """
    if section.modality != "CT" or volume.units != "HU" or not _HEADS.intersection(rules.body_parts):
        return ()
    x, y, z = volume.spacing
    if (span := volume.array.shape[1] * z) < _WHOLE_MM:
        part = section.unit == "series" and span >= _SOME_MM
        return (
            (f"the slices span {span:.0f} mm, less than a whole head: what lies beyond was not seen",) if part else ()
        )
    solid = volume.array[0, :, ::_STEP, ::_STEP] > _AIR
    counts = solid.sum(axis=(1, 2))
    largest = int(counts.argmax())
    area = float(counts[largest]) * x * y * _STEP**2
    if not counts[largest] or not _LEAST_MM2 <= area <= _MOST_MM2:
        return (f"the largest slice shows {area / 100:.0f} cm² of a body, which no head has: check the pixel spacing",)
    rows, columns = np.nonzero(solid[largest])
    if len(rows) < _FEW:
        return ()
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([rows * y, columns * x])) + 1e-6 * np.eye(2)))
    if (ratio := float(spread[1] / spread[0])) > _LONGEST:
        return (
            f"the largest slice is {ratio:.1f} times as long as it is wide, as no head is: check the pixel spacing",
        )
    return ()
