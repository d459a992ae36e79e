"""What the parameters of preparation steps may be, each with its rule in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field


def _rising(pair: Sequence[float]) -> Sequence[float]:
    if not pair[0] < pair[1]:
        raise ValueError("the second number must be above the first")
    return pair


def _windows(pairs: Sequence[Sequence[float]]) -> Sequence[Sequence[float]]:
    if any(width <= 0 for _, width in pairs):
        raise ValueError("each width must be above 0")
    return pairs


_Two = Annotated[Sequence[float], Field(min_length=2, max_length=2)]
_Percent = Annotated[float, Field(ge=0.0, le=100.0)]
_Side = Annotated[int, Field(ge=8, le=2048)]

RANGE = "two rising numbers [low, high]"
Range = Annotated[_Two, AfterValidator(_rising), Field(description=RANGE)]
Percents = Annotated[
    Annotated[Sequence[_Percent], Field(min_length=2, max_length=2)],
    AfterValidator(_rising),
    Field(description="two rising numbers [low, high] from 0 to 100"),
]
Windows = Annotated[
    Annotated[Sequence[_Two], Field(min_length=1, max_length=16)],
    AfterValidator(_windows),
    Field(description="pairs of centre and width in HU like [[40, 80], [600, 2800]], each width above 0"),
]
Size = Annotated[
    _Side | Annotated[Sequence[_Side], Field(min_length=2, max_length=2)],
    Field(description="one or two whole numbers from 8 to 2048"),
]
Spacing = Annotated[
    Annotated[float, Field(ge=0.2, le=20.0)]
    | Annotated[Sequence[Annotated[float, Field(ge=0.2, le=20.0)]], Field(min_length=3, max_length=3)],
    Field(description="one number or three (x, y, z) of millimetres from 0.2 to 20"),
]
