"""Where heads lie: lines of one file that is only added to, or one object each in a store that fsspec knows.

A store of objects cannot add to one: it would write all heads anew each time. One object a head is never written again,
so that a store may lock it (as Amazon S3's Object Lock does).
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from insula.core.errors import InsulaError, MissingPartError, TrailError
from insula.core.synced import sync
from insula.serve.store import elsewhere
from insula.serve.trail.heads import Head, genuine, read, written

_LONGEST: Final = 2000  # bytes of a line; a head has about 330
_TAIL: Final = 1 << 16  # bytes at the end of the file among which the newest head lies: those of some 200
_NAME: Final = re.compile(r"\d{20}-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Heads:
    """The heads of a place. signed: by number the digests that were signed for it; more than one is a fault.

    count: genuine heads. spoilt: lines or objects that are no head, or whose signature is not of the key.
    """

    signed: Mapping[int, frozenset[str]] = field(default_factory=dict)
    count: int = 0
    spoilt: int = 0


def read_heads(place: str, public: str) -> Heads:
    """All heads of a place, none where it does not exist yet; about 250 bytes of memory each. public: see keys.py."""
    signed: dict[int, frozenset[str]] = {}
    count = spoilt = 0
    for line in _lines(place):
        head = read(line)
        if head is None or not genuine(head, public):
            spoilt += 1
            continue
        count += 1
        signed[head.seq] = signed.get(head.seq, frozenset()) | {head.digest}
    return Heads(signed, count, spoilt)


def newest_head(place: str, public: str) -> Head | None:
    """The head of the highest number, None where there is none; TrailError where it is not genuine."""
    lines = _newest_lines(place)
    newest = max((head for line in lines if (head := read(line))), key=lambda head: head.seq, default=None)
    if newest is not None and not genuine(newest, public):
        raise TrailError(
            f"The head of entry {newest.seq} among those of INSULA_TRAIL_HEADS was not signed with this key; "
            "look for who changed it, and run: insula audit-trail verify."
        )
    return newest


def add_head(place: str, head: Head) -> None:
    """Keep a head; it is on the disk, or in the store, when this returns. Nothing that is kept already is changed."""
    path = _local(place)
    if path is None:
        with _store(place) as (store, root):
            name = f"{root}/{head.seq:020d}-{head.signature[:16]}.json"
            if not store.exists(name):
                store.pipe_file(name, written(head))
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: several processes of one machine may keep heads
        _add(file, b"\n" * _torn(file) + written(head))
    if new:
        sync(path.parent)


def _add(file: Any, line: bytes) -> None:
    """Add a line whole, or leave the file as it was: half a head, which a full disk took, would count as spoilt."""
    before = file.seek(0, os.SEEK_END)
    try:
        left = memoryview(line)
        while left:
            left = left[file.write(left) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(before)
        raise


def _torn(file: Any) -> bool:
    """Whether the last line was not finished, as when the power failed."""
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) != b"\n")


def _lines(place: str) -> Iterator[bytes]:
    """All that should be heads."""
    path = _local(place)
    if path is None:
        with _store(place) as (store, root):
            for name in _names(store, root):
                yield store.cat_file(name, start=0, end=_LONGEST)
    elif path.exists():
        with path.open("rb") as file:
            while line := file.readline(_LONGEST):
                yield line


def _newest_lines(place: str) -> Iterator[bytes]:
    """What the head of the highest number is among: the last object by its name, or the last lines of the file."""
    path = _local(place)
    if path is None:
        with _store(place) as (store, root):
            names = [name for name in _names(store, root) if _NAME.fullmatch(name.rpartition("/")[2])]
            for name in names[-1:]:
                yield store.cat_file(name, start=0, end=_LONGEST)
    elif path.exists():
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            yield from file.read().splitlines()  # the first may be part of one, and is then none


def _names(store: Any, root: str) -> list[str]:
    return sorted(store.find(root)) if store.exists(root) else []


def _local(place: str) -> Path | None:
    """The file of a place, None for a store."""
    if place.startswith("file://"):
        return Path(place.removeprefix("file://"))
    return None if "://" in place else Path(place)


@contextmanager
def _store(place: str) -> Iterator[tuple[Any, str]]:
    """A store and the folder in it; what it raises becomes our own error, without an address that may hold a key."""
    kind = place.partition("://")[0]
    try:
        store, root = elsewhere.opened(place)
        store.invalidate_cache()
        yield store, root.rstrip("/")
    except InsulaError:
        raise
    except ImportError as error:
        raise MissingPartError(
            f"Heads in {kind}:// need a part that is not installed ({error.name or error}); "
            "run: pip install 'insula[s3]', or the package of that store for fsspec."
        ) from error
    except Exception as error:  # every store has exceptions of its own
        raise TrailError(
            f"INSULA_TRAIL_HEADS ({kind}://…) cannot be used ({type(error).__name__}); check the address and the "
            "rights of this account."
        ) from error
