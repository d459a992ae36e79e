"""An evaluation as one HTML page that needs nothing beside itself, from its record."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Template

from insula.core import templates
from insula.core.style import sheet
from insula.evaluate.gallery import OUTCOMES
from insula.evaluate.outcome import LIMITS
from insula.report import bound, figures, held_back, inline, words
from insula.report.checklist import answered
from insula.report.record import Record

_SECTIONS = (
    ("plan", "Plan and looks", "looks"),
    ("guards", "Guards", "guards"),
    ("figures", "Figures", ""),
    ("curves", "Curves", ""),
    ("thresholds", "Thresholds", ""),
    ("classes", "Classes", ""),
    ("prevalence", "Prevalence", ""),
    ("decision", "Decision curve", "decision_curve"),
    ("policy", "Policy", "risk_coverage"),
    ("beside", "Beside the model", "baselines permutation seeds readers"),
    ("further", "Further targets", "further"),
    ("localisation", "Heat and lesion", "localisation"),
    ("gallery", "Cases", "gallery"),
    ("misses", "Missed patients", ""),
    ("failures", "Failures", ""),
    ("methods", "Methods", ""),
    ("provenance", "Provenance", ""),
    ("checklists", "Checklists", ""),
)
_DONE = {"accept": "accepted", "refer": "referred", "reject": "rejected"}
_LISTED = 6
_NET_BENEFIT_AT = (0.05, 0.1, 0.2, 0.3, 0.5)


def render(record: Record, pictures: Mapping[str, bytes] | None = None) -> str:
    """The page as text: charts as inline SVG, pictures embedded, no script and no address of any other file.

    pictures: the PNG of each file that the record's gallery names; one that is missing is said to be so.
    """
    facts = record["facts"]
    return template("evaluation.html").render(
        record=record,
        facts=facts,
        level=record["patient"],
        positive=record["patient"]["classes"][facts["positive"]],
        threshold=facts["thresholds"].get(facts["positive"], 0.5),
        charts=figures.of(record),
        gallery=_gallery(record, pictures or {}),
        checklists=answered.answered(record),
        sections=[(i, name) for i, name, keys in _SECTIONS if not keys or any(record.get(k) for k in keys.split())],
        decision_rows=_decision_rows(record),
        set_sizes=_set_sizes(record),
        trained_on=_trained_on(record),
        thresholds=_thresholds(record),
        own=next((row["own"] for row in record["thresholds"] if row["used"]), None),
        bound=bound.said(record.get("model")),
        held_back=held_back.said(record),
        misses=[(miss, _cases(miss["cases"])) for miss in record["misses"]],
        figure_names=lambda keys: [words.name(key) for key in keys],
    )


def content_policy() -> str:
    """A Content-Security-Policy under which the page shows as it should, and could fetch or run nothing."""
    return inline.content_policy(sheet())


def template(name: str) -> Template:
    """A template of this package with what every page needs: words and limits."""
    pages = templates.environment("insula.report")
    pages.globals.update(words=words, limits=LIMITS)
    return pages.get_template(name)


def _gallery(record: Record, pictures: Mapping[str, bytes]) -> dict[str, list[tuple[Any, str]]]:
    coded = {name: base64.b64encode(data).decode() for name, data in pictures.items()}
    shown = {
        words.OUTCOMES[outcome]: [
            (item, coded.get(item["file"], "")) for item in record["gallery"] if item["outcome"] == outcome
        ]
        for outcome in OUTCOMES
    }
    return {name: items for name, items in shown.items() if items}


def _thresholds(record: Record) -> list[tuple[str, Any]]:
    """The rows of the table with their labels; neighbours that give the same answers share one."""
    shown: list[tuple[list[float], Any]] = []
    for row in record["thresholds"]:
        before = shown[-1][1] if shown else None
        if before and not row["used"] and not before["used"] and all(row[c] == before[c] for c in ("tp", "fp")):
            shown[-1][0].append(row["threshold"])
        else:
            shown.append(([row["threshold"]], row))
    return [(_range(row["own"] or at, 3 if row["used"] else 2), row) for at, row in shown]


def _range(at: list[float], digits: int) -> str:
    first = words.number(at[0], digits)
    return first if len(at) == 1 else f"{first}–{words.number(at[-1], digits)}"


def _cases(cases: Sequence[Any]) -> str:
    """The cases of one patient with their probabilities; what they share in folder and action is said once.

    Of many cases the highest and the lowest stand for all; the table of predictions has each.
    """
    if len(cases) == 1:
        return str(cases[0]["case"]) + _action(cases[0])
    if len(cases) > _LISTED:
        return _summed(cases)
    folders = {case["case"].rpartition("/")[0] for case in cases}
    place = f"{min(folders)}/" if len(folders) == 1 and "" not in folders else ""
    same = len({case.get("action") for case in cases}) == 1
    told = [
        f"{case['case'].removeprefix(place)} ({words.number(case['probability'])}){'' if same else _action(case)}"
        for case in cases
    ]
    done = _action(cases[0]).removeprefix(",") if same else ""
    return f"{f'in {place}: ' if place else ''}{', '.join(told)}{f'; each{done}' if done else ''}"


def _summed(cases: Sequence[Any]) -> str:
    order = sorted(cases, key=lambda case: -case["probability"])
    high, middle, low = order[0], order[len(order) // 2], order[-1]
    done = Counter(_DONE[case["action"]] for case in cases if case.get("action") in _DONE)
    counted = f"; {', '.join(f'{count:,} {word}' for word, count in sorted(done.items()))}" if done else ""
    return (
        f"{len(cases):,} cases: highest {high['case']} ({words.number(high['probability'])}), middle "
        f"{words.number(middle['probability'])}, lowest {low['case']} ({words.number(low['probability'])}){counted}"
    )


def _action(case: Mapping[str, Any]) -> str:
    return f", {_DONE[case['action']]}" if case.get("action") in _DONE else ""


def _decision_rows(record: Record) -> list[int]:
    held = record.get("decision_curve")
    return [held["thresholds"].index(t) for t in _NET_BENEFIT_AT if t in held["thresholds"]] if held else []


def _trained_on(record: Record) -> str:
    held = (record.get("model") or {}).get("trained_on")
    if not held:
        return ""
    classes = words.flat(held["training_cases_by_class"])
    return (
        f"{words.plural(held['patients'], 'patient')} and {words.plural(held['files'], 'file')} of training and "
        f"validation, split by {held['split_level'] or 'an unknown level'}; training cases by class: {classes}"
    )


def _set_sizes(record: Record) -> str:
    held = record.get("prediction_sets")
    if not held:
        return ""
    return ", ".join(f"{count:,} with {size}" for size, count in enumerate(held["sizes"]) if count)
