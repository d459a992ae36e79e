"""Structured logs on standard error, without patient identifiers.

Log calls name events and counts; a path, a patient key or a UID is passed through `pseudonym` first.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import sys
import warnings

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
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=lambda *names: structlog.PrintLogger(sys.stderr),
    )


def hush() -> None:
    """Let no warning of the DICOM reader on standard error: they quote what stands in headers, names among it."""
    logging.getLogger("pydicom").addHandler(logging.NullHandler())
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


_SESSION_KEY = secrets.token_bytes(16)
