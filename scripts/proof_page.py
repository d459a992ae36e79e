"""The page of phantom_proofs.py."""

from typing import Any


def page(kept: dict[str, Any]) -> str:
    return str(kept)
