"""No text of the project claims more than was measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.walk import ROOT, texts

CLAIMS = (
    "clinical-grade",
    "medical-grade",
    "production-ready",
    "HIPAA-compliant",
    "FDA-ready",
    "radiologist-level",
    "unbiased",
    "tamper-proof",
    "guaranteed anonymous",
    "clinically validated",
    "state-of-the-art",
)
_PATTERN = re.compile("|".join(re.sub("[- ]", r"[-_\\s]*", claim) for claim in CLAIMS), re.IGNORECASE)
_DENIED = re.compile(r"\b(not|no|never)\s+(a\s+|an\s+)?$", re.IGNORECASE)


def claims(text: str) -> list[str]:
    return [m[0] for m in _PATTERN.finditer(text) if not _DENIED.search(text[: m.start()])]


def test_no_text_claims_more_than_was_measured() -> None:
    own = Path(__file__).relative_to(ROOT).as_posix()
    found = {name: said for name, text in texts().items() if name != own and (said := claims(text))}
    assert found == {}


def test_the_texts_are_all_there() -> None:
    names = set(texts())
    assert {"README.md", "CHANGELOG.md", "docs/service.md", "src/insula/recipes/stroke-ct.yaml"} <= names
    assert {"src/insula/report/templates/evaluation.html", "tests/house/walk.py"} <= names
    assert not [name for name in names if name.startswith((".git/", ".venv/", "runs/"))]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_seen_in_any_writing_unless_it_is_denied(claim: str) -> None:
    for said in (claim, claim.upper(), claim.replace("-", " "), claim.replace("-", "\n"), f"a {claim} tool"):
        assert claims(f"Insula is {said}.")
    assert claims(f"Insula is not {claim}, and not a {claim} tool.") == []
