"""Insula: from a folder of brain scans to a classifier that its owner can defend. Research use only."""

from __future__ import annotations

__version__ = "0.1.0"
