"""Bytes changed at random, from a seed: what is wrong in them nobody thought of."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Final

_WORDS: Final = [
    b"",
    b"\0",
    b"\xff",
    b"\xff" * 4,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"\xfe\xff\x00\xe0",
    b"%s%n",
    b"SQ\0\0",
]
_LENGTHS: Final = (0, 1, 2, 3, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def changed(random: Random, data: bytes, times: int | None = None) -> bytes:
    """The same with one to five changes."""
    out = bytearray(data)
    for _ in range(times or random.randint(1, 5)):
        _CHANGES[random.randrange(len(_CHANGES))](random, out)
    return bytes(out)


def cut(random: Random, data: bytes) -> bytes:
    """The beginning of it."""
    return data[: random.randrange(len(data))] if data else data


def junk(random: Random, most: int) -> bytes:
    """Any bytes."""
    return random.randbytes(random.randint(0, most))


def length(random: Random) -> int:
    """A length that nobody should believe."""
    return random.choice(_LENGTHS)


def _flip(random: Random, out: bytearray) -> None:
    if out:
        out[random.randrange(len(out))] ^= 1 << random.randrange(8)


def _put(random: Random, out: bytearray) -> None:
    place = random.randint(0, len(out))
    word = random.choice(_WORDS)
    out[place : place + len(word)] = word


def _insert(random: Random, out: bytearray) -> None:
    place = random.randint(0, len(out))
    out[place:place] = random.choice(_WORDS) if random.random() < 0.5 else junk(random, 40)


def _drop(random: Random, out: bytearray) -> None:
    start = random.randint(0, len(out))
    del out[start : start + random.randint(1, 24)]


def _repeat(random: Random, out: bytearray) -> None:
    start = random.randint(0, len(out))
    part = bytes(out[start : start + random.randint(1, 64)])
    out[start:start] = part * random.choice((1, 2, 50))


def _lie(random: Random, out: bytearray) -> None:
    """A number that is no length any more, in either order of bytes."""
    if len(out) < 4:
        return
    place = random.randrange(len(out) - 3)
    form: Sequence[str] = (">L", "<L", ">H", "<H")
    chosen = random.choice(form)
    width = struct.calcsize(chosen)
    out[place : place + width] = struct.pack(chosen, length(random) & (1 << 8 * width) - 1)


_CHANGES: Final = (_flip, _flip, _put, _insert, _drop, _repeat, _lie, _lie)
