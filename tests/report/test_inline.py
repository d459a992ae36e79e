from __future__ import annotations

import base64
import hashlib
import re

import pytest
from tests.report import made_audit, made_report

from insula.report import audit_page, page

RECORD, AUDIT = made_report.record(), made_audit.held(made_audit.plain())


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (page.render(RECORD), page.content_policy()),
        (audit_page.render(AUDIT), audit_page.content_policy()),
        (audit_page.brief(AUDIT), audit_page.content_policy()),
    ],
    ids=["evaluation", "audit", "sheet"],
)
def test_the_policy_allows_the_pages_own_style_and_nothing_else(text: str, policy: str) -> None:
    inside = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
    assert len(inside) == 1
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script|\sstyle=|\son\w+=", text)
