"""Fixtures for all tests."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from insula.bundle.types import Bundle
from insula.core import log

sys.path.insert(0, str(Path(__file__).parent.parent))


@pytest.fixture(autouse=True)
def same_log() -> Iterator[None]:
    """The log as it is configured at first, for each test alike: what an earlier one configured does not reach it."""
    log.configure()
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """What this process does at Ctrl-C and SIGTERM, as before each test: verbs that run until then take them over."""
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    yield
    for sign, handler in before.items():
        if signal.getsignal(sign) is not handler and handler is not None:
            signal.signal(sign, handler)


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Make a tiny bundle: `tiny_bundle(kind=…, unit=…, dropout=…, **policy)`, see tests/tiny_bundle.py."""
    from tests.tiny_bundle import make

    def factory(**options: Any) -> Bundle:
        return make(tmp_path, **options)

    return factory
