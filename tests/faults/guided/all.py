"""All parsers that are tried, by what they read."""

from __future__ import annotations

from tests.faults.guided import of_node, of_scans, of_texts, of_web

TARGETS = {**of_node.TARGETS, **of_web.TARGETS, **of_texts.TARGETS, **of_scans.TARGETS}
