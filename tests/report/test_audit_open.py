from __future__ import annotations

from typing import Any

from tests.report import made_audit
from tests.report.made_audit import NAN, found, held, report
from tests.report.parsed import Page

from insula.core.types import Finding
from insula.report import audit_page
from insula.report.audit_open import shown
from insula.report.audit_words import REASONS


def of(*findings: Finding) -> list[Any]:
    return list(held(report(findings))["findings"])


def test_each_that_cannot_be_told_is_named_under_its_reason() -> None:
    told = {
        one.reason: (one.count, one.named) for one in shown(of(*made_audit.FINDINGS[2:3], *made_audit.FINDINGS[5:7]))
    }
    assert told == {
        "chance": (1, "Blur: sensitivity lost"),
        "wide": (1, "Noise CT: ROC-AUC lost"),
        "not known": (1, "The plan of the evaluation (No plan was written down)"),
    }
    assert list(told) == [kind for kind in REASONS if kind in told]


def test_where_the_evidence_has_the_reason_it_is_told_and_cut() -> None:
    why = "no head was found in any of these scans, " * 20
    one = Finding("labels/contradicted", NAN, None, 0.03, "cannot tell", why)
    named = shown(of(one))[0].named
    assert named.startswith("Labels that the model contradicts (No head was found in any of these scans")
    assert named.endswith("…)")
    assert len(named) < 140


def test_of_many_the_gravest_are_named_and_the_others_counted_by_part() -> None:
    some = [found(f"subgroups/age=40-59 {i}/sensitivity", "cannot tell", limit=0.2) for i in range(40)]
    some += [found(f"robustness/c{i}/roc_auc", "cannot tell", limit=0.2) for i in range(16)]
    some += [found("skull/roc_auc", "cannot tell", limit=0.2)]
    one = shown(of(*some))[0]
    assert (one.reason, one.count) == ("wide", 57)
    first, *others, rest = one.named.split("; ")
    assert first == "ROC-AUC lost without the skull"
    assert others[:3] == [
        "age=40-59 0: sensitivity against all others", "C0: ROC-AUC lost",
        "age=40-59 1: sensitivity against all others",
    ]  # fmt: skip
    groups = sum("age" in other for other in others)
    assert rest == f"and {56 - len(others)} more (subgroups {40 - groups}, robustness {16 - len(others) + groups})"
    assert 150 < len(one.named) - len(rest) <= 280


def test_the_sheet_names_them_beside_the_failures() -> None:
    text = Page(audit_page.brief(held(made_audit.plain()))).text
    assert "1: the interval holds the limit: with more patients it could be told. Noise CT: ROC-AUC lost." in text
    crowd = Page(audit_page.brief(held(made_audit.crowded(verdict="cannot tell")))).text
    assert "No finding fails." in crowd
    assert "and 196 more (subgroups 196)." in crowd
