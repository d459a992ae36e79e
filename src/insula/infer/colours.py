"""Colour maps that stay readable without colour vision: each rises evenly from dark to light.

inferno and viridis: S. van der Walt, N. Smith, E. Firing. cividis: J. Nuñez, C. Anderton, R. Renslow, PLOS ONE 13
(2018) e0199239. The tables are 33 of the 256 colours that Matplotlib gives to the public domain (CC0); the rest is
interpolated.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from insula.core.errors import UsageError
from insula.core.types import FloatArray

_TABLES: Final = {
    "inferno": (
        "000004 040312 0b0724 150b37 210c4a 2e0a5a 3c0965 4a0c6b 57106d 63146e 70196e 7d1e6d 89226a 962766 a32b61 "
        "af315c bb3755 c63e4d d14644 db4f3b e35932 eb6528 f1711e f67f14 f98d0a fb9c06 fcab0f fbba1f f9ca32 f5d949 "
        "f2e865 f3f586 fcffa4"
    ),
    "viridis": (
        "440154 470d60 48186a 482374 472d7b 453681 424086 3f4989 3b528b 375a8d 33638d 2f6a8e 2c728e 297a8e 26818e "
        "23898e 21908c 1f988b 1f9f88 21a685 28ae80 31b57b 3ebc74 4cc26c 5dc963 6ece58 82d34c 96d83f abdc32 c0df24 "
        "d5e21a eae51a fde725"
    ),
    "cividis": (
        "00224e 00285b 002e6a 043371 1a386f 273e6e 32436d 3b496c 434e6c 4b546c 52596d 5a5f6e 61656f 686a71 6f7073 "
        "757676 7c7b78 848179 8b8778 938d78 9b9376 a39a75 aba072 b3a670 bbad6c c3b469 ccba64 d4c15f ddc958 e6d051 "
        "efd748 f8df3c fee838"
    ),
}
NAMES: Final = tuple(_TABLES)
_COLOURS: Final = {
    name: np.array([list(bytes.fromhex(colour)) for colour in table.split()], np.float32)
    for name, table in _TABLES.items()
}


def paint(level: FloatArray, name: str = "inferno") -> FloatArray:
    """Colours (..., 3) from 0 to 255 of levels (...) from 0 to 1; UsageError for a map that is not in `NAMES`."""
    if name not in _COLOURS:
        raise UsageError(f"There is no colour map '{name}'; known are: {', '.join(NAMES)}.")
    table = _COLOURS[name]
    at = np.clip(level, 0.0, 1.0) * (len(table) - 1)
    low = np.minimum(at.astype(np.intp), len(table) - 2)
    part = (at - low)[..., None]
    result: FloatArray = np.asarray(table[low] * (1.0 - part) + table[low + 1] * part, np.float32)
    return result
