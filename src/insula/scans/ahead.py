"""Decoding that begins while the headers of further files are still being read."""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset

from insula.scans import pixels, threads
from insula.scans.header import Header
from insula.scans.limits import Limits
from insula.scans.pixels import Stored


class Ahead:
    """The stored values of files whose place in a volume is not known yet; a context manager, at whose end it stops.

    Work on a file that is set aside later is lost, so it goes on only as long as the files look like a plain series:
    one compressed frame each, all of one size, every one in a place of its own, and together within the limits.
    """

    def __init__(self, allowed: Limits) -> None:
        self._allowed = allowed
        self._begun: dict[int, Future[Stored]] = {}
        self._places: set[object] = set()
        self._size: tuple[int, ...] = ()
        self._plain = True

    def begin(self, number: int, facts: Header, dataset: Dataset) -> None:
        """Begin with the file of this number, if it is worth it."""
        size = (facts.rows, facts.columns, facts.samples)
        self._size = self._size or size
        values = (len(self._places) + 1) * facts.rows * facts.columns * facts.samples
        self._plain = (
            self._plain
            and size == self._size
            and facts.frames == 1
            and facts.position is not None
            and facts.position not in self._places
            and values <= self._allowed.max_voxels
            and pixels.unlocked_frames(dataset)
        )
        if self._plain and (begun := threads.begin(pixels.stored, dataset, facts, self._allowed)) is not None:
            self._places.add(facts.position)
            self._begun[number] = begun

    def stop(self) -> None:
        """Begin with nothing more; what is being decoded is finished."""
        self._plain = False
        for number, begun in list(self._begun.items()):
            if begun.cancel():
                del self._begun[number]

    def take(self, number: int) -> Stored | None:
        """The values of the file of this number, None where they were not begun; raises what decoding raised."""
        begun = self._begun.pop(number, None)
        return None if begun is None else begun.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        for begun in self._begun.values():
            begun.exception()  # waited for and not raised: nobody wants this file
        self._begun.clear()
