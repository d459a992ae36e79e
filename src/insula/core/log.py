"""Structured logs on standard error, without patient identifiers.

Log calls name events and counts; a path, a patient key or a UID is passed through `pseudonym` first.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog


def configure(json_lines: bool = False, level: str = "INFO") -> None:
    """Send all log events to standard error, as readable lines or as JSON, and nothing else: see `hush`."""
    hush()
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
_SESSION_KEY = secrets.token_bytes(16)
