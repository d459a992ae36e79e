"""Stored files that no record names, left by uploads that were broken off."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from insula.serve.store.files import Files
from insula.serve.store.in_use import chunks, hold_files, in_use


@dataclass(frozen=True)
class Swept:
    """Files that no record names, with their bytes; unfinished: what broken puts left."""

    files: int
    bytes: int
    unfinished: int


def sweep(connection: Connection, files: Files, older_than: datetime, dry: bool = False) -> Swept:
    """Delete the files that no record names and that were put before an instant; `dry` only counts them.

    The instant has to lie further back than any upload takes: a file is stored first and named after. Needs a
    transaction that writes, and reads all the store's names.
    """
    candidates = {found.sha256: found.size for found in files.all() if found.changed < older_than}
    count = size = 0
    if not dry:
        hold_files(connection, alone=True)
    for part in chunks(sorted(candidates)):
        for name in sorted(set(part) - in_use(connection, part)):
            if dry or files.delete(name, unless_put_since=older_than):
                count += 1
                size += candidates[name]
    return Swept(count, size, 0 if dry else files.clear_unfinished(older_than))
