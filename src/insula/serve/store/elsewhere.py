"""Object stores, as fsspec opens them: how long one is waited for, and what it raises, as trouble of a disk.

Every store has exceptions of its own, and some of fsspec's questions answer "no" where a store does not answer at all.
Here each of them becomes an OSError, as that of a disk which refuses, so that whoever stores or reads meets one kind.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from typing import Any, Final

from insula.core.errors import InsulaError
from insula.core.log import get

_S3: Final = ("s3", "s3a")
# each of two rounds asks twice, and waits at most 5 s for a connection and 15 s for the next bytes: a minute, not six
_ROUNDS: Final = 2
_CONFIG: Final = {"retries": {"mode": "standard", "total_max_attempts": 2}, "connect_timeout": 5, "read_timeout": 15}


def opened(address: str) -> tuple[Any, str]:
    """The file system (of fsspec) of an address, and the place in it; one of S3 is not waited for without end."""
    from fsspec.core import url_to_fs

    if address.partition("://")[0] not in _S3:
        system, root = url_to_fs(address)
        return system, str(root)
    system, root = url_to_fs(address, config_kwargs=_CONFIG)
    system.retries = _ROUNDS
    return system, str(root)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What a store raises, as OSError (EIO) without the store's words; our own errors and FileNotFoundError pass."""
    try:
        yield
    except (FileNotFoundError, InsulaError):
        raise
    except Exception as error:
        kind = type(error).__name__
        get("files").warning("the store of files fails", error=kind)
        raise OSError(errno.EIO, f"the store of files does not do as asked: {kind}") from error


@contextlib.contextmanager
def there() -> Iterator[None]:
    """As `told`, for what needs no file to be there: a bucket that is gone is trouble like any other."""
    with told():
        try:
            yield
        except FileNotFoundError as error:
            raise OSError(errno.EIO, "the bucket is gone") from error


class Told:
    """A stream of a store, whose errors are those of `told`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """The next bytes."""
        with told():
            return bytes(self._stream.read(size))
