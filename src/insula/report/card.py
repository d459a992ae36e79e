"""The model card that travels with a bundle: what it is for, what it saw, what was measured, where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insula.core.recipe import Recipe
from insula.evaluate.outcome import LIMITS
from insula.report import bound, card_evidence, card_policy, words
from insula.report.record import Record, described

_HELD = {
    True: "Its probabilities hold at the prevalence of the evaluated cohort; see the table for other prevalences.",
    False: "Its probabilities hold at the prevalence of its validation patients.",
}
_LIMITS = (
    "It says nothing about patients, scanners and sites unlike those it was evaluated on.",
    "A heat map shows what moved the answer, not where the lesion is.",
)
_MODEL_LIMITS = (
    "Its spread, intervals over draws and prediction sets know nothing of what is wrong with the labels, nor of scans "
    "that differ from all that it has seen.",
    "Its bundle holds salted hashes of the patients and files that it was fitted to, and weights that were fitted to "
    "them: keep it as data about patients.",
)
_ORIGIN = ("bundle", "insula", "created", "python", "machine", "packages", "seed", "weights_sha256", "optimised_from")
_AUTHOR = (
    "who trained it, who answers for it, and how to reach them",
    "where the scans came from, when, of whom (age, sex, severity), with which scanners and protocols, and who was "
    "left out",
    "who made the labels, from what, and what they knew of the scan",
    "what allowed the use of the scans, and under which terms the model may be passed on",
    "in which setting it is looked at, by whom, and what follows from an answer",
    "who watches it, at which figure it is stopped, and when it is judged anew",
)


def model_card(
    recipe: Recipe,
    data: Mapping[str, Any],
    report: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    limits: Sequence[str] = (),
    chosen: Mapping[str, Any] | None = None,
) -> str:
    """A model card as Markdown, after Mitchell et al. (Model Cards for Model Reporting, FAT* 2019).

    data: facts on the training data, printed as a list (for instance patients, cases, class counts, split level).
    report: `EvaluationReport.to_dict()` or a record of the cases to quote, or None when nothing was evaluated yet.
    provenance: what `insula.core.provenance.record` gives. limits: sentences to add to the standing ones. chosen: what
    was chosen on validation patients, see `card_policy.decided`.
    """
    return _card(described(recipe)["recipe"], data, report, provenance, limits, chosen or {})


def of_record(record: Record) -> str:
    """The card of the model that a record is about, with that record's figures.

    Where the predictions came from elsewhere, so that no model is known, the card says so.
    """
    model = record.get("model")
    if model:
        trained = model["trained_on"]
        data = {
            "patients trained or validated on": trained["patients"],
            "files": trained["files"],
            "split": f"by {trained['split_level'] or 'an unknown level'}",
            "patient ids known": trained["patient_ids"],
            "training cases by class": trained["training_cases_by_class"],
        }
        origin = {"bundle": model["bundle"], **model["origin"]}
        promise = bound.said(model)
        chosen = {
            "thresholds": model["thresholds"],
            "temperature": model["temperature"],
            "patients": model["metrics"].get("validation", {}).get("patients"),
        }
        return _card(model["recipe"], data, record, origin, (promise,) if promise else (), chosen)
    facts = record["facts"]
    parts = [
        f"# {facts['name']}",
        f"**{LIMITS}**",
        f"{words.sentence(facts['question'])} The figures are those of predictions that came without their "
        "model, so this card says nothing of its inputs, training and intended use: for the author.",
        "## Evaluation data",
        _list(card_evidence.judged(record)),
        "## Figures",
        _figures(record),
        *_referral(record),
        "## Limits",
        _lines((*_LIMITS, _HELD[True])),
    ]
    return _safe("\n\n".join(parts))


def _card(
    recipe: Mapping[str, Any],
    data: Mapping[str, Any],
    report: Mapping[str, Any] | None,
    provenance: Mapping[str, Any] | None,
    limits: Sequence[str],
    chosen: Mapping[str, Any],
) -> str:
    target = next(iter(recipe["targets"].values()))
    parts = [
        f"# {recipe['name']}",
        f"**{LIMITS}**",
        *_control(provenance),
        "## Intended use",
        f"{words.sentence(recipe['question'])} For research: to study the question on scans of the kind it was "
        "trained on, with every answer read by a person. Not for diagnosis, triage or treatment.",
        _list(
            {
                **_inputs(recipe),
                "classes": f"{', '.join(target['classes'])} ({target['kind']}; positive: {target['primary']})",
                **_further(recipe),
                "network": _network(recipe["model"]),
            }
        ),
        "## Out of scope",
        _lines(card_policy.out_of_scope(recipe)),
        "## Training data",
        _list(data) if data else "Nothing is recorded about the training data.",
        "## Evaluation data",
        _list(card_evidence.judged(report)) if report else "Not evaluated yet.",
        "## Figures",
        _figures(report) if report else "Not evaluated yet.",
        "## Thresholds and policy",
        _list(card_policy.decided(recipe, chosen)),
        *(_referral(report) if report else ()),
        "## Audit and groups of patients",
        *_audit(report),
        "## Limits",
        _lines((*_LIMITS, _HELD[report is not None], *_MODEL_LIMITS, *limits)),
        "## How to make it again",
        _again(recipe, report),
        "## Left to the author",
        _lines(_AUTHOR),
    ]
    if provenance:
        shown = {key: provenance[key] for key in _ORIGIN if key in provenance}
        parts += ["## Origin", _list(shown)] if shown else []
    return _safe("\n\n".join(parts))


def _control(provenance: Mapping[str, Any] | None) -> tuple[str, ...]:
    if not (provenance or {}).get("shuffled_labels"):
        return ()
    return ("**A control: its labels were shuffled, so that it can have learnt nothing of the disease.**",)


def _referral(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What the policy did on the judged cases, as a section; none where no policy was at work."""
    rows = card_evidence.held_back(report)
    return ("## Answered, referred, rejected", _table(("", "value", "95% interval", "on"), rows)) if rows else ()


def _audit(report: Mapping[str, Any] | None) -> tuple[str, ...]:
    held = (report or {}).get("audit")
    if not held:
        return (
            "No audit is part of this card, so it tells nothing of shortcuts, of groups of patients and of what "
            "disturbs the model. `insula audit`, then `insula report EVALUATION --audit AUDIT`, put one here.",
        )
    return (*card_evidence.audited(held), card_evidence.groups(held))


def _again(recipe: Mapping[str, Any], report: Mapping[str, Any] | None) -> str:
    lines = [
        f"The model: `insula train COHORT --recipe BUNDLE/recipe.yaml --out RUN`, with the same cohort and split, seed "
        f"{recipe['seed']}, versions and number of threads, on a machine of the same kind.",
        "Its files: the SHA-256 of each stands in `manifest.json`, whose own begins with the bundle's id. A bundle "
        "with one changed byte does not load.",
    ]
    if report:
        lines.append(
            "The figures: `insula evaluate BUNDLE COHORT --out REPORT`, or from `cases.parquet` and `report.json` "
            "beside this card, without the model."
        )
    return _lines(lines)


def _inputs(recipe: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for role, section in recipe["inputs"].items():
        of = f" ({role})" if len(recipe["inputs"]) > 1 else ""
        found[f"input{of}"] = f"{section['modality']}, one answer per {section['unit']}"
        found[f"preparation{of}"] = ", ".join(step["name"] for step in section["prep"])
    if recipe.get("clinical"):
        found["clinical columns"] = ", ".join(recipe["clinical"])
    return found


def _further(recipe: Mapping[str, Any]) -> dict[str, str]:
    more = list(recipe["targets"].items())[1:]
    return {"further targets": ", ".join(f"{name} ({t['kind']})" for name, t in more)} if more else {}


def _network(model: Mapping[str, Any]) -> str:
    text = f"{model['encoder']}, pooling by {model['pool']}, dropout {words.flat(model['dropout'])}"
    members = model.get("members", 1)
    return text if members == 1 else f"{text}, {members} networks averaged"


def _figures(report: Mapping[str, Any]) -> str:
    facts, level = report["facts"], report["patient"]
    name, unit = facts["positive"], level["name"]  # "case" where nobody knows whose the cases are
    found = level["classes"][name]
    source = report.get("source") or {}
    on = f" (split '{source['split']}')" if source.get("split") else ""
    parts = []
    if report["optimistic"]:
        parts.append(f"**{report['headline']}** Do not quote the figures below as performance.")
    parts.append(
        f"{name} against the rest, {words.plural(level['patients'], unit)}{on}, {found['tp'] + found['fn']:,} of them "
        f"positive; 95% intervals over {unit}s."
    )
    rows = [
        (words.name(key), words.value(f), words.interval(f), words.basis(key, f, f"{unit}s"))
        for key, f in words.ordered(found["figures"])
    ]
    parts.append(_table(("figure", "value", "95% interval", "on"), rows))
    if report["prevalence"]:
        answers = [
            (words.percent(row["prevalence"]), _range(row["ppv"]), _range(row["npv"]), _alerts(row))
            for row in report["prevalence"]
        ]
        parts.append(_table(("prevalence", "PPV", "NPV", "alerts per 1,000"), answers))
    return "\n\n".join(parts)


def _range(ends: Sequence[float | None]) -> str:
    value, low, high = (words.percent(x, 2) for x in ends)
    if ends[0] is None:
        return f"{value} (no such answer)"
    return f"{value} ({low} to {high})"


def _alerts(row: Mapping[str, Any]) -> str:
    value, low, high = (words.number(x, 0) for x in row["alerts_per_1000"])
    return f"{value} ({low} to {high})"


def _list(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"- {str(key).replace('_', ' ')}: {words.flat(value)}" for key, value in facts.items())


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _safe(text: str) -> str:
    """Markdown lets HTML through; the names and facts of a recipe are text."""
    return text.replace("<", "\\<") + "\n"
