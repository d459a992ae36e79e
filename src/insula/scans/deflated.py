"""Deflated DICOM files (PS3.5, A.5), inflated block by block and never beyond what such a file may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian

from insula.core.errors import LimitError
from insula.scans.items import Counted
from insula.scans.limits import Limits, inflate

_LARGEST, _GROWTH = 1 << 26, 100  # bytes that any deflated file may inflate to, and how many for one byte of a file


def check(stream: BinaryIO, name: str, limits: Limits, spare: list[int]) -> None:
    """Refuse a deflated file that inflates beyond the limit: pydicom would inflate all of it at once.

    spare: as for `blocks`. Raises as `blocks`; does nothing with other files.
    """
    head = stream.read(144)
    if head[128:132] != b"DICM":
        return
    length = int.from_bytes(head[140:144], "little") if head[132:136] == b"\x02\x00\x00\x00" else 4096
    stream.seek(132)
    if DeflatedExplicitVRLittleEndian.encode() not in stream.read(min(length, 1 << 16) + 12):
        return
    stream.seek(144 + length)
    for _ in blocks(stream, name, limits, spare):
        pass


def blocks(stream: BinaryIO, name: str, limits: Limits, spare: list[int]) -> Iterator[bytes]:
    """The rest of a stream inflated, block by block; LimitError as soon as it is more than such a file may hold.

    spare: gets the number of bytes behind the end of what is deflated, as `limits.inflate` has it.
    """
    start = stream.tell()
    packed = stream.seek(0, 2) - start
    stream.seek(start)
    most = min(limits.max_bytes // 4, max(_LARGEST, _GROWTH * packed))
    total, items = 0, Counted(name, limits)
    for block in inflate(stream, most + 1, wbits=-15, spare=spare):
        total += len(block)
        if total > most:
            raise LimitError(f"'{name}' inflates {packed} bytes to more than {most}; store it uncompressed.")
        items.add(block)
        yield block
