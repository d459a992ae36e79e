"""How many items the sequences of a DICOM file hold, counted in its bytes before any of them is made.

An item that holds nothing is eight bytes in a file and hundreds of them in memory.
"""

from __future__ import annotations

from typing import BinaryIO, Final

from insula.core.errors import LimitError
from insula.scans.limits import Limits

_MARKS: Final = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")  # how an item begins (PS3.5, 7.5), in either order of bytes
_BLOCK: Final = 1 << 20
_LEAST: Final = 8  # bytes of an item


class Counted:
    """What counts the items of one file, block after block. Raises LimitError as soon as there are too many."""

    def __init__(self, name: str, limits: Limits) -> None:
        self._name, self._most = name, limits.max_items
        self._found, self._end = 0, b""

    def add(self, block: bytes) -> None:
        """Count on. A mark that two blocks share is counted with the later one."""
        both = self._end + block
        self._found += sum(both.count(mark) for mark in _MARKS)
        self._end = both[-3:]
        if self._found > self._most:
            raise LimitError(
                f"'{self._name}' holds more than {self._most} items in its sequences; it is no ordinary scan, export "
                "it again."
            )


def check(stream: BinaryIO, name: str, limits: Limits) -> None:
    """Refuse a file with more items than a scan has, and leave the stream at its start; short files hold none to fear.

    Fragments of compressed pixels are items as well. Raises LimitError.
    """
    if stream.seek(0, 2) > _LEAST * limits.max_items:
        stream.seek(0)
        counted = Counted(name, limits)
        while block := stream.read(_BLOCK):
            counted.add(block)
    stream.seek(0)
