from __future__ import annotations

import re
from typing import Any

import pytest
from tests.report import made_audit
from tests.report.made_audit import FINDINGS, held, report
from tests.report.parsed import Page
from tests.report.test_prose import KEYS

from insula.audit.corruptions import CORRUPTIONS
from insula.audit.finders import FINDERS
from insula.report import audit_page
from insula.report.audit_words import REASONS, by_reason, counts, cut, evidence, headline, others, title, why


def one(check: str = "skull/changed", **more: Any) -> dict[str, Any]:
    return {
        "check": check, "value": 0.2, "interval": [0.1, 0.3], "limit": 0.05, "verdict": "cannot tell",
        "evidence": "Seen.", **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("evidence/patients", "Patients that were trained on"),
        ("robustness/noise_ct/roc_auc", "Noise CT: ROC-AUC lost"),
        ("baselines/silhouette", "A model that sees only the outline of the head"),
        ("robustness/jpeg/sensitivity", "JPEG: sensitivity lost"),
        ("subgroups/sex=F & age=18-39/roc_auc", "sex=F & age=18-39: ROC-AUC against all others"),
        ("subgroups/kernel_name", "kernel_name"),
        ("shift/scale/site_B", "Hounsfield scale of site site_B"),
        ("mine/some_thing/more", "Some thing, more"),
        ("alone", "Alone"),
    ],
)
def test_a_finding_is_named_in_words_and_the_names_of_groups_are_kept(check: str, said: str) -> None:
    assert title(check) == said


def test_everything_that_the_checks_find_has_a_name_without_a_key_in_it() -> None:
    checks = [f"robustness/{name}/{of}" for name in CORRUPTIONS for of in ("roc_auc", "sensitivity")]
    checks += [f"{part}/{name}" for part in ("marks", "exchange") for name in FINDERS]
    checks += ["skull/roc_auc", "skull/changed", "calibration/slope", "labels/contradicted", "robustness/mean_roc_auc"]
    named = [title(check) for check in checks]
    assert len(set(named)) == len(checks)
    assert not [said for said in named if "_" in said or KEYS.search(said) or not said[0].isupper()]


def test_signs_are_written_alike_in_values_and_evidence_and_hyphens_stay() -> None:
    told = one(evidence="Moves by -0.033 (-0.1 to 0.2) in noise=2-3 of Te-gl_0010.jpg; 2026-11-25, p-1")
    assert evidence(told) == "Moves by −0.033 (−0.1 to 0.2) in noise=2-3 of Te-gl_0010.jpg; 2026-11-25, p-1."


@pytest.mark.parametrize(
    ("finding", "kind"),
    [
        (one("subgroups/sex=F/sensitivity"), "chance"),
        (one("robustness/blur/roc_auc"), "chance"),
        (one("labels/contradicted"), "plainer"),
        (one("skull/roc_auc"), "plainer"),
        (one(limit=0.2), "wide"),
        (one(interval=None), "no interval"),
        (one(value=None, interval=None), "not measured"),
        (one(value=None, interval=None, evidence="not enough cases: 3 positives"), "few"),
        (one(limit=None), "no limit"),
        (one("evidence/plan", value=0.0, interval=None, limit=None), "not known"),
    ],
)
def test_why_a_finding_cannot_be_told(finding: dict[str, Any], kind: str) -> None:
    assert why(finding) == kind
    assert kind in REASONS


def test_reasons_stand_in_their_order_the_furthest_beyond_first() -> None:
    group = "subgroups/sex=F/roc_auc"
    some = [one(limit=None), one(group, value=0.3), one(group, value=0.5), one(limit=0.25, value=0.2), one()]
    found = by_reason(some)
    assert list(found) == ["chance", "plainer", "wide", "no limit"]
    assert [f["value"] for f in found["chance"]] == [0.5, 0.3]


@pytest.mark.parametrize(
    ("verdicts", "whole", "said", "rest"),
    [
        ("", "cannot tell", "Nothing was judged: no check gave a finding.", ""),
        ("f", "fail", "1 of 1 finding fails.", ""),
        ("ffpc", "fail", "2 of 4 findings fail.", "1 cannot be told, 1 passes."),
        ("cc", "cannot tell", "None of 2 findings could be told.", ""),
        ("cp", "cannot tell", "No finding fails, but 1 of 2 cannot be told, so this is no pass.", "1 passes."),
        ("cpp", "pass", "Everything that was judged stays within its limits. That is no proof that nothing is wrong.",
         "1 cannot be told, 2 pass."),
    ],
)  # fmt: skip
def test_the_verdict_in_a_sentence(verdicts: str, whole: str, said: str, rest: str) -> None:
    names = {"f": "fail", "c": "cannot tell", "p": "pass"}
    record = {"verdict": whole, "findings": [one(verdict=names[letter]) for letter in verdicts]}
    assert headline(record) == said
    assert others(record) == rest


def test_counts_leave_out_what_there_is_none_of() -> None:
    assert counts([]) == ""
    assert counts([one(verdict="pass")] * 1200) == "1,200 pass"


def test_a_long_text_ends_at_a_word() -> None:
    assert cut("short", 5) == "short"
    assert cut("one two, three", 10) == "one two…"
    assert cut("W" * 50, 10) == "W" * 9 + "…"


@pytest.mark.parametrize("made", [report, made_audit.real, made_audit.empty])
@pytest.mark.parametrize("render", [audit_page.render, audit_page.brief])
def test_sentences_end_once_and_no_key_stands_in_prose(made: Any, render: Any) -> None:
    html = re.sub(r"<code>.*?</code>", "a key", render(held(made())))
    text = Page(html).text
    assert not re.findall(r".{30}(?:\.\.|\.;|;\.|\?\.| \.(?=\s))", text)
    assert KEYS.findall(re.sub(r"What was seen of \S+|Worst of \d+ comparisons: \S+", "", text)) == []


def test_the_parts_of_the_made_report_are_those_of_its_findings() -> None:
    assert {f["check"] for f in held(report())["findings"]} == {f.check for f in FINDINGS}
