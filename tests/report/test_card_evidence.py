from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests import tiny_bundle
from tests.report import hard, made_audit, made_report

from insula.cli.report import report as verb
from insula.core.errors import EvaluationError
from insula.report import audit_page, folder
from insula.report.card import of_record
from insula.report.card_evidence import excerpt, held_back, judged
from insula.report.record import Record, described


def audit(bundle: str = "ab12" * 16) -> Record:
    held: Record = json.loads(json.dumps(made_audit.report().to_dict() | {"cases": {}}))
    return {**held, "facts": {**held["facts"], "bundle": bundle}}


def of_bundle(tmp_path: Path) -> dict[str, Any]:
    bundle = tiny_bundle.make(tmp_path / "bundle")
    return {**made_report.held(made_report.plain()), "model": described(bundle.recipe, bundle)}


def test_whom_a_model_was_judged_on_names_no_case_patient_or_file() -> None:
    held = hard.record()
    said = judged(held)
    assert said["guards"] == "fail: pictures; cannot tell: threshold"
    assert said["looked at"] == "2 times, this one included"
    assert said["sites"] == "external: none of the test sites was trained on"
    assert said["without an answer"] == "1 case, 0 of them refused"
    assert not [text for text in said.values() if hard.PATH in text or "case-" in text]


def test_a_cohort_is_named_without_the_folders_of_the_machine_it_lies_on() -> None:
    report = made_report.make(source={"cohort": "/home/somebody/scans/split.parquet", "split": "test"})
    text = of_record(made_report.held(report))
    assert "- cohort: split.parquet" in text
    assert "somebody" not in text


def test_what_the_policy_did_stands_with_its_intervals() -> None:
    held = made_report.record()
    rows = {name: (value, ends, basis) for name, value, ends, basis in held_back(held)}
    accepted = held["coverage"]["accepted"]
    low, high = accepted["interval"]
    assert rows["Accepted"] == (
        f"{100 * accepted['value']:.1f}%",
        f"{100 * low:.1f}% to {100 * high:.1f}%",
        f"{accepted['events']} of {accepted['n']} cases",
    )
    assert "## Answered, referred, rejected" in of_record(held)
    assert "## Answered" not in of_record({**held, "coverage": None})


def test_without_an_audit_the_card_says_what_it_does_not_tell(tmp_path: Path) -> None:
    text = of_record(of_bundle(tmp_path))
    assert "No audit is part of this card" in text
    assert "insula report EVALUATION --audit AUDIT" in text


def test_an_audit_in_the_record_is_told_with_what_fails_and_what_of_groups(tmp_path: Path) -> None:
    held = of_bundle(tmp_path)
    kept = excerpt(audit(held["model"]["bundle"]), "cd34" * 16, held)
    text = of_record({**held, "audit": kept})
    assert "No audit is part" not in text
    assert "4 of 13 findings fail." in text
    assert "- Letters: difference between the classes: 0.400 (0.300 to 0.500), limit 0.2" in text
    assert "Of 2 comparisons of a group with all others 0 fail, 1 pass and 1 cannot be told; 1 of these because" in text
    assert "cd34cd34cd34…" in text
    assert made_audit.FINDINGS[0].evidence not in text  # it may name cases


def test_a_card_names_ten_failures_and_says_how_many_more_there_are(tmp_path: Path) -> None:
    held = of_bundle(tmp_path)
    many = [made_audit.found(f"subgroups/scanner=S{i}/sensitivity") for i in range(13)]
    kept = excerpt(audit(held["model"]["bundle"]), "x", held) | {
        "findings": json.loads(json.dumps(made_audit.report(tuple(many)).to_dict()["findings"]))
    }
    text = of_record({**held, "audit": kept})
    assert text.count("scanner=S") == 10
    assert "3 more stand in the audit's page." in text


def test_an_audit_of_another_bundle_or_of_no_model_is_refused(tmp_path: Path) -> None:
    held = of_bundle(tmp_path)
    with pytest.raises(EvaluationError, match=f"bundle ab12ab12ab12ab12 .* bundle {held['model']['bundle'][:16]}"):
        excerpt(audit(), "x", held)
    with pytest.raises(EvaluationError, match="made elsewhere"):
        excerpt(audit(), "x", made_report.record())


def test_the_verb_puts_an_audit_into_the_card_and_it_stays_there(tmp_path: Path) -> None:
    bundle = tiny_bundle.make(tmp_path / "bundle")
    out, audited = tmp_path / "evaluation", tmp_path / "audit"
    folder.write_figures(made_report.plain(), out, (), bundle)
    report = made_audit.report()
    audit_page.write(replace(report, facts={**report.facts, "bundle": bundle.id}), audited)
    run = CliRunner().invoke(verb, [str(out), "--audit", str(audited)], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    card = (out / "model-card.md").read_text(encoding="utf-8")
    assert "4 of 13 findings fail." in card
    kept = json.loads((out / "report.json").read_text(encoding="utf-8"))["audit"]
    assert kept["sha256"] != ""
    assert len(kept["findings"]) == 13
    CliRunner().invoke(verb, [str(out)], catch_exceptions=False)
    assert (out / "model-card.md").read_text(encoding="utf-8") == card


def test_an_audit_is_given_to_an_evaluation_alone(tmp_path: Path) -> None:
    audit_page.write(made_audit.report(), tmp_path / "audit")
    run = CliRunner().invoke(verb, [str(tmp_path / "audit"), "--audit", str(tmp_path / "audit")])
    assert "holds an audit" in str(run.exception)
    bare = tmp_path / "bare"
    bare.mkdir()
    bundle = tiny_bundle.make(tmp_path / "bundle")
    folder.write_figures(made_report.plain(), tmp_path / "evaluation", (), bundle)
    run = CliRunner().invoke(verb, [str(tmp_path / "evaluation"), "--audit", str(bare)])
    assert "give a folder that insula audit wrote" in str(run.exception)
