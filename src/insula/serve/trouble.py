"""Trouble of a disk or a database, as the service says it: a full disk, records that do not answer, damaged records.

What is met goes by the system's and the databases' own numbers, never by their words: those may repeat an address or
what was to be stored.
"""

from __future__ import annotations

import errno
import sqlite3
import sys
from typing import Any, Final

from insula.serve.faults import RequestError

CODES: Final = frozenset({"no_space", "storage", "records_busy", "records_silent", "records_damaged"})
_WAIT: Final = {"Retry-After": "30"}
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK: Final = frozenset({errno.EIO, errno.EROFS, errno.ENODEV, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
# SQLite's primary result codes (sqlite.org/rescode.html)
_SQLITE_FULL, _SQLITE_BUSY, _SQLITE_DAMAGED = 13, frozenset({5, 6}), frozenset({11, 26})
_SQLITE_SILENT: Final = frozenset({7, 8, 10, 14, 15})  # no memory, read-only, input or output, cannot open, its log
# PostgreSQL's (its manual, appendix A): a disk, damage, all connections taken or a lock not had; classes of trouble
_FULL_STATES, _DAMAGED_STATES = frozenset({"53100"}), frozenset({"XX001", "XX002"})
_BUSY_STATES: Final = frozenset({"40001", "40P01", "53300", "55P03", "57014"})
_SILENT_CLASSES: Final = ("08", "25006", "53", "57", "58")


def of(error: BaseException) -> RequestError | None:
    """What to say of an error of the disk or the database, with its status; None for any other error."""
    if isinstance(error, OSError):
        return _of_disk(error.errno)
    if "sqlalchemy.exc" not in sys.modules:  # a service without records does without it
        return None
    from sqlalchemy import exc

    if isinstance(error, exc.TimeoutError):
        return _said("records_busy")
    return _of_database(error.orig, error.connection_invalidated) if isinstance(error, exc.DBAPIError) else None


def _of_disk(number: int | None) -> RequestError | None:
    return _said("no_space") if number in _FULL else _said("storage") if number in _DISK else None


def _of_database(error: Any, cut: bool) -> RequestError | None:
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        if code is None:  # of the driver itself, as for bytes that are no text, or a database that was closed
            return _said("records_damaged") if isinstance(error, sqlite3.OperationalError) else None
        first = code & 0xFF
        if first == _SQLITE_FULL:
            return _said("no_space")
        if first in _SQLITE_BUSY:
            return _said("records_busy")
        if first in _SQLITE_DAMAGED:
            return _said("records_damaged")
        return _said("records_silent") if first in _SQLITE_SILENT else None
    state = getattr(error, "sqlstate", None)
    if state is None:  # PostgreSQL's driver has none where the connection was cut or never made
        kinds = {kind.__name__ for kind in type(error).__mro__}  # a connection that took too long has a kind of its own
        return _said("records_silent") if cut or "OperationalError" in kinds else None
    if state in _FULL_STATES:
        return _said("no_space")
    if state in _DAMAGED_STATES:
        return _said("records_damaged")
    if state in _BUSY_STATES:
        return _said("records_busy")
    return _said("records_silent") if state.startswith(_SILENT_CLASSES) else None


def _said(code: str) -> RequestError:
    status, message, headers = {
        "no_space": (507, "The disk is full and nothing was stored; make room, then send the request again.", {}),
        "storage": (503, "The disk or file store does not do as asked; nothing was stored. See the log.", _WAIT),
        "records_busy": (503, "The records are busy with others' work; send the request again later.", _WAIT),
        "records_silent": (503, "The records do not answer now; nothing was stored. Try again later.", _WAIT),
        "records_damaged": (
            503,
            "The records are damaged; run insula records check --whole, then restore a backup.",
            {},
        ),
    }[code]
    return RequestError(status, code, message, headers)
