"""What a model card says of the patients it was judged on, of what the policy did there, and of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insula.core.errors import EvaluationError
from insula.report import audit_advice, audit_words, words
from insula.report.record import Record
from insula.report.words import Said

_KEPT = ("schema", "kind", "verdict", "facts", "findings")
_SHOWN = 10  # findings of each verdict that a card names


def judged(record: Record) -> dict[str, str]:
    """Name → facts on the cases that the figures come from; no name of a patient, case or file."""
    level = record["patient"]
    found = {}
    source = record.get("source") or {}
    for key in ("cohort", "split"):
        if source.get(key):
            found[key] = str(source[key]).rstrip("/").rpartition("/")[2]
    found[f"{level['name']}s"] = f"{level['patients']:,}"
    found["cases"] = f"{(record['case'] or level)['rows']:,}"
    if record["failures"]:
        rejected = sum(bool(one["rejected"]) for one in record["failures"])
        found["without an answer"] = f"{words.plural(len(record['failures']), 'case')}, {rejected:,} of them refused"
    if record.get("site"):
        found["sites"] = f"{record['site']['standing']}: {words.clause(record['site']['reason'])}"
    if record.get("looks"):
        found["looked at"] = f"{words.plural(record['looks']['number'], 'time')}, this one included"
    if record["guards"]:
        found["guards"] = _guards(record["guards"])
    return found


def _guards(guards: Sequence[Said]) -> str:
    """Which guards pass, fail and cannot tell; their evidence names cases and stays in the report."""
    said = []
    for verdict in ("fail", "cannot tell", "pass"):
        names = [one["name"] for one in guards if one["verdict"] == verdict]
        if names:
            said.append(f"{verdict}: {', '.join(names)}")
    return "; ".join(said)


def held_back(record: Record) -> list[tuple[str, str, str, str]]:
    """Rows of what the policy did: name, value, interval, what it rests on; none where no policy was at work."""
    return [
        (
            words.name(key),
            words.percent(figure["value"]),
            _ends(figure),
            f"{figure['events']:,} of {figure['n']:,} cases",
        )
        for key, figure in (record.get("coverage") or {}).items()
    ]


def _ends(figure: Said) -> str:
    return words.span(figure["interval"]) if figure["interval"] else figure["reason"] or "no interval"


def excerpt(audit: Record, digest: str, record: Record) -> dict[str, Any]:
    """What a record of an evaluation keeps of an audit of the same bundle; digest: SHA-256 of its `audit.json`.

    Raises EvaluationError where the audit is of another bundle, or the evaluation of none.
    """
    model = record.get("model")
    if not model:
        raise EvaluationError(
            "These predictions were made elsewhere, so that no audit belongs to their model; leave --audit out."
        )
    theirs, ours = str(audit["facts"]["bundle"]), str(model["bundle"])
    if theirs != ours:
        raise EvaluationError(
            f"The audit is of bundle {theirs[:16]} and the evaluation of bundle {ours[:16]}; audit the latter."
        )
    return {**{key: audit[key] for key in _KEPT}, "sha256": digest}


def audited(held: Mapping[str, Any]) -> list[str]:
    """What an audit found, as paragraphs: the verdict, what fails, then groups of patients."""
    facts, findings = held["facts"], held["findings"]
    of = f"{words.plural(facts['patients'], 'patient')}, {facts['positives']:,} of them positive."
    record = f"The record is audit.json with the SHA-256 {words.short(held['sha256'])}."
    told = (of, audit_words.headline(held), audit_words.others(held), record)
    said = [" ".join(one for one in told if one)]
    failed = audit_words.of_verdict(findings)["fail"]
    failed = audit_advice.gravest(failed, len(failed))
    if failed:
        said.append("Fails:")
        said.append("\n".join(f"- {_finding(one)}" for one in failed[:_SHOWN]))
        if len(failed) > _SHOWN:
            said.append(f"{len(failed) - _SHOWN:,} more stand in the audit's page.")
    return said


def groups(held: Mapping[str, Any]) -> str:
    """What the audit says of groups of patients, as one paragraph."""
    found = [one for one in held["findings"] if one["check"].startswith("subgroups/")]
    if not found:
        return "The audit looked at no group of patients."
    of = {name: len(ones) for name, ones in audit_words.of_verdict(found).items()}
    few = sum(audit_words.why(one) == "few" for one in found if one["verdict"] == "cannot tell")
    said = (
        f"Of {words.plural(len(found), 'comparison')} of a group with all others {of['fail']:,} fail, {of['pass']:,} "
        f"pass and {of['cannot tell']:,} cannot be told"
    )
    return f"{said}; {few:,} of these because there are not enough cases, which is no sign of fairness."


def _finding(one: Said) -> str:
    told = audit_words.measured(one)
    return f"{audit_words.title(one['check'])}{f': {told}' if told else ''}"
