"""Fixtures for all tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from insula.bundle.types import Bundle

sys.path.insert(0, str(Path(__file__).parent.parent))


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Callable[..., Bundle]:
    """Make a tiny bundle: `tiny_bundle(kind=…, unit=…, dropout=…, **policy)`, see tests/tiny_bundle.py."""
    from tests.tiny_bundle import make

    def factory(**options: Any) -> Bundle:
        return make(tmp_path, **options)

    return factory
