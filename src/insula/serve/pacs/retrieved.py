"""What came of fetching a study, alike for DICOM and DICOMweb."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 10.0  # times the usual wait: an archive may fetch a study from afar, and says nothing meanwhile
Take = Callable[[bytes], object]
Told = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Retrieved:
    """completed: objects that came; failed: that the peer could not send; refused: that are not taken here."""

    completed: int
    failed: int = 0
    refused: int = 0
