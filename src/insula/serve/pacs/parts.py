"""The parts of a multipart answer (RFC 2046, section 5.1), one by one, each within a bound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_MOST_HEADER: Final = 16 << 10
_BOUNDARY: Final = re.compile(r';\s*boundary=(?:"([^"]{1,70})"|([^\s;",]{1,70}))', re.IGNORECASE)


def boundary_of(content_type: str) -> bytes:
    """The boundary that a content type names. Raises ValueError for one without."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise ValueError("the answer names no boundary")
    return (found[1] or found[2]).encode("latin-1")


def parts(blocks: Iterable[bytes], boundary: bytes, most_bytes: int) -> Iterator[bytes]:
    """The contents of the parts, without their headers. blocks: of the body, as they come; each part is held whole.

    Raises ValueError for a part of more bytes, one without headers' end, and a body that ends before its last boundary.
    """
    mark = b"\r\n--" + boundary
    held = bytearray(b"\r\n")  # so that the first boundary has a line before it, too
    inside = False
    for block in blocks:
        seen = max(0, len(held) - len(mark) - 1)
        held += block
        while (at := held.find(mark, seen)) >= 0 and len(held) >= at + len(mark) + 2:
            after = bytes(held[at + len(mark) : at + len(mark) + 2])
            if after != b"--" and after[:1] not in b"\r \t":  # a longer line that only begins alike
                seen = at + 1
                continue
            if inside:
                yield _content(held, at)
            if after == b"--":
                return
            inside, seen = True, 0
            del held[: at + len(mark)]
        if len(held) > (most_bytes if inside else 0) + _MOST_HEADER + len(mark):
            raise ValueError("a part of the answer is longer than what may be sent")
    raise ValueError("the answer ends before its last boundary")


def _content(part: bytearray, end: int) -> bytes:
    start = part.find(b"\r\n\r\n", 0, min(end, _MOST_HEADER))
    if start < 0:
        raise ValueError("a part of the answer has no end of its headers")
    with memoryview(part) as view:
        return bytes(view[start + 4 : end])
