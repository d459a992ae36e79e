"""The document's table of strengths is that of the registry."""

from __future__ import annotations

from tests.house.walk import ROOT

from insula.audit.corruptions import CORRUPTIONS, table
from insula.core.recipe_audit import Robustness


def test_the_document_has_the_strengths_of_the_registry_and_every_key_of_the_recipe() -> None:
    text = (ROOT / "docs" / "audit.md").read_text()
    assert table() in text
    assert all(f"(`{name}`)" in text for name in CORRUPTIONS)
    assert all(f"\n    {key}: " in text for key in Robustness.model_fields)
