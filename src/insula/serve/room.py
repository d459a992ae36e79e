"""Room on the disks: asked for before much is written, and tried by who watches over the service."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Final

from insula.serve.store.files import Files

_TRIED: Final = b"\0" * 4096  # bytes of a file that is made and taken away again: a block of most file systems


def ask(files: Files, laid: int, stored: int, spare: int) -> None:
    """Refuse work that would fill a disk, before its first byte is written.

    laid, stored: bytes that will lie among the temporary files and in the store at the same time. spare: bytes that are
    to be left where the files lie. Raises OSError (ENOSPC), as the write would have done that finds no room.
    """
    place = tempfile.gettempdir()
    here = shutil.disk_usage(place).free
    if files.folder is None:  # what goes elsewhere is spooled here on its way
        enough = here >= laid + stored
    elif Path(place).stat().st_dev == files.folder.stat().st_dev:
        enough = here >= laid + stored + spare
    else:
        enough = here >= laid and files.free() >= stored + spare
    if not enough:
        raise OSError(errno.ENOSPC, f"{laid + stored} bytes are wanted and there is no room for them")


def tried(places: Collection[Path]) -> None:
    """Write a small file without a name into each folder. Raises OSError where one takes nothing any more.

    Nothing waits until the bytes are on the disk: most file systems find out when they are told to write whether there
    is a block left.
    """
    for place in places:
        with tempfile.TemporaryFile(dir=place, buffering=0) as file:
            if file.write(_TRIED) < len(_TRIED):  # part of it had room
                raise OSError(errno.ENOSPC, "the disk is full")
