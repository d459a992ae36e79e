"""Fixtures of the verbs' tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_register(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A register of looks of the test's own, so that neither another test's looks nor the user's are counted."""
    path = tmp_path / "register.jsonl"
    monkeypatch.setenv("INSULA_LOOKS", str(path))
    return path
