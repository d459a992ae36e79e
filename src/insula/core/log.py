"""Structured logs on standard error, without patient identifiers.

Log calls name events and counts; a path, a patient key or a UID is passed through `pseudonym` first.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import PurePath
from typing import Any, TextIO

import structlog


def configure(json_lines: bool = False, level: str = "INFO") -> None:
    """Send all log events to standard error, as readable lines or as JSON, and nothing else: see `hush`, `adopt`."""
    hush()
    adopt()
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if json_lines else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _plain,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *names: structlog.PrintLogger(sys.stderr),
    )


def _plain(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write out what would begin a line, colour a terminal or turn its letters around, whoever sent it."""
    return {_line(name): _line(value) for name, value in event.items()}


def _line(value: Any) -> Any:
    if isinstance(value, str):
        if value.isprintable():
            return value
        return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in value)
    if isinstance(value, Mapping):
        return {_line(name): _line(one) for name, one in value.items()}
    return [_line(one) for one in value] if isinstance(value, list | tuple) else value


def hush() -> None:
    """Let nothing of other packages on standard error that quotes headers, addresses or queries: names are among it."""
    logging.getLogger("pydicom").addHandler(logging.NullHandler())
    for name in _TALKATIVE:
        if logging.getLogger(name).level == logging.NOTSET:  # whoever has set another level wants what comes
            logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(pydicom|insula)\b")


class _Adopted(logging.Handler):
    """Writes what other packages log as lines of this log: who spoke and where, and no words that a stranger chose.

    Arguments and tracebacks are left out. So are the messages of packages that put what they met into them; those that
    keep quiet by a null handler of their own are kept quiet.
    """

    def emit(self, record: logging.LogRecord) -> None:
        package = record.name.partition(".")[0]
        if any(isinstance(one, logging.NullHandler) for one in logging.getLogger(package).handlers):
            return
        more: dict[str, str] = {}
        if package in _CONSTANT and isinstance(record.msg, str) and record.msg.strip():
            more["said"] = record.msg.strip().splitlines()[0]
        if record.exc_info and record.exc_info[0] is not None:
            more["kind"] = record.exc_info[0].__name__
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        with contextlib.suppress(OSError, ValueError):  # standard error is closed: there is nobody to tell
            get("library").log(level, "library", logger=record.name, at=f"{record.filename}:{record.lineno}", **more)


def adopt() -> None:
    """Let warnings and errors that other packages log come as lines of this log."""
    if not any(isinstance(one, _Adopted) for one in logging.root.handlers):
        logging.root.addHandler(_Adopted(logging.WARNING))


def warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Take the place of `warnings.showwarning`: the kind of a warning and where it arose, and none of its words."""
    get("library").warning("warned", kind=category.__name__, at=f"{PurePath(filename).name}:{lineno}")


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    """A logger bound to the name of the part that speaks; on standard error, since standard output is the answer's."""
    if not structlog.is_configured():
        configure()
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return logger


def pseudonym(identifier: str) -> str:
    """A short stand-in under which one identifier can be followed through one log, and not read from it."""
    return hashlib.blake2s(identifier.encode(), key=_SESSION_KEY, digest_size=6).hexdigest()


# below a warning they write out requests' addresses, in which patients are searched for, and what is stored
_TALKATIVE = (
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "openai",
    "urllib3",
    "botocore",
    "aiobotocore",
    "s3fs",
    "pynetdicom",
)
# packages whose messages are written in their source, but for the arguments (and lines after the first)
_CONSTANT = ("uvicorn", "asyncio")
_SESSION_KEY = secrets.token_bytes(16)
