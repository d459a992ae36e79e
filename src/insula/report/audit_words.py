"""What the findings of an audit are called, and what is said of them. A finding is a mapping, as in the JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from insula.report import words
from insula.report.words import Said

_FIGURES = {"roc_auc": "ROC-AUC", "sensitivity": "sensitivity", "specificity": "specificity"}
_KNOWN = {
    "evidence/split": "How the test cases were set apart",
    "evidence/patients": "Patients that were trained on",
    "evidence/files": "Files that were trained on",
    "evidence/pictures": "Pictures that were trained on",
    "evidence/threshold": "What the threshold was chosen on",
    "evidence/plan": "The plan of the evaluation",
    "background/roc_auc": "A model that sees only what lies beside the head",
    "marks/colour_mode": "Pictures saved in colour: difference between the classes",
    "evidence/chance": "Training on shuffled labels",
    "predictions/order": "Predictions that stand in other rows than their own",
    "predictions/values": "Predictions that are not the bundle's",
    "baselines/metadata": "A model that sees only facts about scan and patient",
    "baselines/border": "A model that sees only the border of the picture",
    "baselines/silhouette": "A model that sees only the outline of the head",
    "baselines/thumbnail": "A model that sees only the picture at 8 × 8 pixels",
    "heat/outside": "Heat outside the brain or head",
    "heat/border": "Heat at the border of the picture",
    "marks/text": "Letters: difference between the classes",
    "marks/device": "Implants: difference between the classes",
    "marks/outline": "Drawn lines: difference between the classes",
    "marks/colour": "Coloured marks: difference between the classes",
    "exchange/background": "Background exchanged for that of the other side",
    "exchange/text": "Letters exchanged with the other side",
    "exchange/device": "Implants exchanged with the other side",
    "exchange/outline": "Drawn lines exchanged with the other side",
    "exchange/colour": "Coloured marks exchanged with the other side",
    "skull/roc_auc": "ROC-AUC lost without the skull",
    "skull/changed": "Answers that change without the skull",
    "robustness/mean_roc_auc": "ROC-AUC lost over all corruptions",
    "calibration/slope": "Distance of the calibration slope from 1",
    "calibration/confidence": "Confidence against the share right",
    "labels/contradicted": "Labels that the model contradicts",
    "shift/prevalence": "Prevalence here against that of training",
}
# These are corrected for how many of them are looked at; what else lies beyond its limit without failing is explained.
_CORRECTED = ("subgroups/", "robustness/")
_MINUS = re.compile(r"(?<![^\s(])-(?=\d)")
_UPPER = {"ct": "CT", "mr": "MR", "jpeg": "JPEG", "hu": "HU"}
# Why something cannot be told: what can be told after all comes first.
REASONS = {
    "chance": "Beyond the limit, but not once it is counted how much was looked at",
    "plainer": "Beyond the limit, but there is another explanation, which the evidence gives",
    "wide": "The interval holds the limit: with more patients it could be told",
    "no interval": "Measured, but without an interval that could be held against the limit",
    "few": "Not enough cases, which is no sign that all is well",
    "not measured": "Could not be measured",
    "not known": "Not known from what the bundle and the cohort tell",
    "no limit": "Measured, but the recipe sets no limit",
}


def title(check: str) -> str:
    """What a finding is about; of a check that has no name here, its own key in words."""
    if check in _KNOWN:
        return _KNOWN[check]
    part, _, rest = check.partition("/")
    named, slash, figure = rest.rpartition("/")
    if part == "subgroups" and slash:
        return f"{named}: {_FIGURES.get(figure, figure)} against all others"
    if part == "subgroups":
        return rest
    if part == "robustness" and slash:
        return f"{_spelt(named)}: {_FIGURES.get(figure, figure)} lost"
    if check.startswith("shift/scale/"):
        return f"Hounsfield scale of site {figure}"
    return _spelt(rest.replace("/", ", ") or check)


def _spelt(key: str) -> str:
    said = " ".join(_UPPER.get(word, word) for word in key.split("_"))
    return said[:1].upper() + said[1:]


def value(finding: Said) -> str:
    """The value; of a finding about evidence how many cases it names, or a dash where it is a fact and no number."""
    x = finding["value"]
    if finding["check"].startswith("evidence/") and finding["interval"] is None:
        return f"{int(x):,} named" if x else "–"
    return words.number(x)


def interval(finding: Said) -> str:
    """The ends of the interval, or "" where there is none."""
    held = finding["interval"]
    return f"{words.number(held[0])} to {words.number(held[1])}" if held else ""


def limit(finding: Said) -> str:
    """The limit as it stands in the recipe, or that there is none."""
    return words.flat(float(finding["limit"])) if finding["limit"] is not None else "none"


def measured(finding: Said) -> str:
    """Value, interval and limit in one line; "" where nothing was measured."""
    if finding["value"] is None or value(finding) == "–":
        return ""
    ends = interval(finding)
    within = f" ({ends})" if ends else ""
    return value(finding) + within + (f", limit {limit(finding)}" if finding["limit"] is not None else "")


def evidence(finding: Said) -> str:
    """The evidence as sentences, with the sign of a number below 0 as in the column of values."""
    return _MINUS.sub("−", words.sentence(finding["evidence"]))


def why(finding: Said) -> str:
    """The kind of reason for which a finding cannot be told: a key of REASONS."""
    x, held, stands = finding["value"], finding["interval"], finding["limit"]
    if finding["check"].startswith("evidence/") and stands is None:
        return "not known"
    if finding["evidence"].startswith("not enough cases"):
        return "few"
    if x is None:
        return "not measured"
    if stands is None:
        return "no limit"
    if held is None:
        return "no interval"
    if held[0] <= stands <= held[1]:
        return "wide"
    return "chance" if finding["check"].startswith(_CORRECTED) else "plainer"


def by_reason(findings: Sequence[Said]) -> dict[str, list[Said]]:
    """Findings that cannot be told by the reason, in the order of REASONS; the wider beyond its limit first."""
    found: dict[str, list[Said]] = {kind: [] for kind in REASONS}
    for one in findings:
        found[why(one)].append(one)
    return {kind: sorted(held, key=lambda one: -beyond(one)) for kind, held in found.items() if held}


def beyond(finding: Said) -> float:
    """How far a value lies beyond its limit, in limits; −∞ where either is not known."""
    x, stands = finding["value"], finding["limit"]
    if x is None or stands is None:
        return -math.inf
    return float((x - stands) / stands if stands else x)


def of_verdict(findings: Sequence[Said]) -> dict[str, list[Said]]:
    """The findings of each verdict, in their order."""
    return {name: [f for f in findings if f["verdict"] == name] for name in ("fail", "cannot tell", "pass")}


def counts(findings: Sequence[Said]) -> str:
    """How many of them fail, cannot be told and pass."""
    of = {name: len(held) for name, held in of_verdict(findings).items()}
    said = [
        f"{of['fail']:,} {'fails' if of['fail'] == 1 else 'fail'}" if of["fail"] else "",
        f"{of['cannot tell']:,} cannot be told" if of["cannot tell"] else "",
        f"{of['pass']:,} {'passes' if of['pass'] == 1 else 'pass'}" if of["pass"] else "",
    ]
    return ", ".join(one for one in said if one)


def headline(record: Mapping[str, Any]) -> str:
    """The verdict of an audit as a sentence: what fails, or that nothing does, which is no proof of anything."""
    total = len(record["findings"])
    of = {name: len(held) for name, held in of_verdict(record["findings"]).items()}
    if not total:
        return "Nothing was judged: no check gave a finding."
    if of["fail"]:
        return f"{of['fail']:,} of {words.plural(total, 'finding')} {'fails' if of['fail'] == 1 else 'fail'}."
    if not of["pass"]:
        return f"None of {words.plural(total, 'finding')} could be told."
    if record["verdict"] == "pass":
        return "Everything that was judged stays within its limits. That is no proof that nothing is wrong."
    return f"No finding fails, but {of['cannot tell']:,} of {total:,} cannot be told, so this is no pass."


def others(record: Mapping[str, Any]) -> str:
    """How many findings there are beside those that the headline counts, as a sentence; "" where there are none."""
    of = of_verdict(record["findings"])
    rest = of["pass"] if record["verdict"] == "cannot tell" else [*of["cannot tell"], *of["pass"]]
    said = counts(rest)
    return f"{said}." if said and (of["fail"] or of["pass"]) else ""


def audited(facts: Said, most: int = 10_000) -> str:
    """What was audited, and on whom. most: letters of each name."""
    cohort, split, positive = (cut(facts[key], most) for key in ("cohort", "split", "positive"))
    split = f", split {split}" if split else ""
    return (
        f"Bundle {words.short(facts['bundle'])} on {cohort}{split}: "
        f"{words.plural(facts['patients'], 'patient')} ({words.plural(facts['cases'], 'case')}), "
        f"{facts['positives']:,} with {positive}."
    )


def cut(text: str, most: int) -> str:
    """A text of at most so many letters, ended at a word where it is too long."""
    if len(text) <= most:
        return text
    kept = text[: most - 1]
    at = kept.rfind(" ")
    return (kept[:at] if at > most // 2 else kept).rstrip(" ,;:.") + "…"
