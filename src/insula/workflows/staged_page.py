"""A staged audit as one printed page: what each stage did, what was chosen by which rule, what the test says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from insula.core import templates
from insula.core.provenance import write_text
from insula.evaluate.outcome import LIMITS
from insula.report import audit_words, words
from insula.report.draw import Axis, Chart, Drawing
from insula.workflows.staged_plan import BASELINE, HARD
from insula.workflows.staged_rule import PRIMARIES

PAGE = "staged.html"
_NAMED, _EVIDENCE = 3, 110  # findings that are told by name, and letters of the evidence
Said = Mapping[str, Any]


def write(held: Said, folder: Path) -> Path:
    """Write `staged.html`; its path."""
    write_text(folder / PAGE, render(held))
    return folder / PAGE


def render(held: Said) -> str:
    """The page as text, from the record of `staged.json`; nothing from outside, no picture of a patient."""
    pages = templates.environment("insula.workflows")
    pages.globals.update(words=words, limits=LIMITS)
    return pages.get_template(PAGE).render(
        held=held,
        stages=held["stages"],
        test=held["test"],
        plan=held["plan"],
        chosen=stage(held, held["chosen"]),
        title=stage(held, held["chosen"])["title"],
        primary=PRIMARIES[held["plan"]["primary"]],
        beside=held["plan"]["primary"] not in ("sensitivity", "specificity", "ppv"),
        story=story(held),
        chart=sweep(held),
        rate=rate,
        alarms=alarms,
        against=against,
        standing=standing,
    )


def lines(held: Said) -> list[str]:
    """The story for the terminal: a sentence a stage, the choice, the test."""
    return [*story(held), f"Test: {on_test(held)}", LIMITS]


def story(held: Said) -> list[str]:
    """What the stages did to the validation patients, in sentences."""
    first, *others = held["stages"]
    found = [f"Baseline: {_counted(first)}; audit: {first['verdict']}."]
    if held["skipped"]:
        found.append(f"Hard negatives: left out, since {held['skipped']}.")
    for one in others:
        if one["name"] == HARD:
            listed = words.plural(one["hard_negatives"], "false positive")
            share = f"{100 * held['plan']['hard_negatives']['share']:g}%"
            found.append(
                f"Hard negatives: {listed} among the training inputs fill {share} of each batch in the last epochs: "
                f"{_moved(one, first)}; audit: {one['verdict']}."
            )
    by_dropout = sorted((one for one in others if one["name"] != HARD), key=lambda one: float(one["dropout"]))
    if by_dropout:
        origin = stage(held, by_dropout[0]["before"])
        told = [_of_dropout(one) for one in by_dropout]
        found.append(
            f"Dropout, held against {origin['dropout']:g} ({origin['title'].lower()}: {_rates(origin)}): "
            f"{'; '.join(told)}."
        )
    return [*found, failures(held), choice(held)]


def failures(held: Said) -> str:
    """Which findings of the stages' audits failed where, and what of it the rule holds against a stage."""
    stages = held["stages"]
    where = {
        name: [one["title"] for one in stages if name in one["failed"]] for one in stages for name in one["failed"]
    }
    if not where:
        return "Audits: no finding fails in any stage."
    told = [
        f"{name} in {_in(titles, len(stages))}{_why(stages, name)}" for name, titles in list(where.items())[:_NAMED]
    ]
    if len(where) > _NAMED:
        told.append(f"{len(where) - _NAMED:,} more in {_in(_with(stages, list(where)[_NAMED:]), len(stages))}")
    also = [name for name in stages[0]["failed"] if len(where[name]) > 1]
    alike = f"{', '.join(also[:_NAMED])}{f' and {len(also) - _NAMED} more' if len(also) > _NAMED else ''}"
    kept = f" What fails in the baseline too ({alike}) is not held against a stage." if also else ""
    return f"Audits: what fails is {'; '.join(told)}.{kept}"


def choice(held: Said) -> str:
    """Which stage the rule chose and by what distance, and which it left out."""
    one, figure = stage(held, held["chosen"]), PRIMARIES[held["plan"]["primary"]]
    own = one["standing"]
    best = max(held["stages"], key=lambda one: -_distance(one))
    reason = f"the best by {figure} ({words.number(own['value'])})"
    if own["value"] is None:
        reason = f"since no stage that may be chosen has a {figure}"
    elif best["name"] != held["chosen"]:
        reason = (
            f"the earliest within one standard error of the best, {best['title']}: {words.number(own['value'])} "
            f"against {words.number(best['standing']['value'])} in {figure}, {words.number(own['behind'])} behind "
            f"with a standard error of {words.number(own['error'])}"
        )
    out = [one["title"] for one in held["stages"] if one["standing"]["new"]]
    left = f" Left out for findings that the baseline does not have: {', '.join(out)}." if out else ""
    return f"Chosen: {one['title']}, {reason}.{left}"


def on_test(held: Said) -> str:
    """What the test says of the chosen stage, as a sentence."""
    test = held["test"]
    figures = test["figures"]
    told = [
        f"{name} {rate(figures[key])}" for name, key in (("sensitivity", "sensitivity"), ("specificity", "specificity"))
    ]
    return f"{', '.join(told)}, precision {rate(figures['ppv'])}; {_counted(test)}; audit: {test['verdict']}."


def stage(held: Said, name: str) -> Said:
    """The record of one stage."""
    found: Said = next(one for one in held["stages"] if one["name"] == name)
    return found


def rate(figure: Said) -> str:
    """A share with its interval, short."""
    if figure["interval"] is None:
        return words.percent(figure["value"])
    return f"{words.percent(figure['value'])} ({words.ends(figure['interval'])})"


def alarms(one: Said) -> str:
    """False positives among the negatives, with the interval of their share."""
    counts, figure = one["counts"], one["figures"]["specificity"]
    ends = figure["interval"]
    told = f" ({words.ends((1 - ends[1], 1 - ends[0]))})" if ends else ""
    return f"{counts['fp']} of {counts['fp'] + counts['tn']}{told}"


def against(one: Said, key: str) -> str:
    """Patients won and lost against the earlier stage, with the p-value after Holm."""
    held = one["change"]
    if held is None:
        return "–"
    test = held["found" if key == "sensitivity" else "alarms"]
    p = words.chance(held["adjusted"][key])
    return f"+{test['only_first']} −{test['only_second']}, p {p}"


def standing(one: Said) -> str:
    """What the rule says of a stage."""
    held = one["standing"]
    if held["new"]:
        return f"left out for {words.plural(len(held['new']), 'finding')}"
    if held["value"] is None:
        return "not defined"
    if not held["behind"]:
        return "best"
    return f"{words.number(held['behind'])} behind, SE {words.number(held['error'])}" + (
        ": tied" if held["tied"] else ""
    )


def sweep(held: Said) -> Drawing | None:
    """Sensitivity and precision over dropout, with their intervals; None where only one value was tried."""
    rows = sorted((one for one in held["stages"] if _swept(held, one)), key=lambda one: float(one["dropout"]))
    if len(rows) < 2:
        return None
    xs = [float(one["dropout"]) for one in rows]
    room = 0.06 * (xs[-1] - xs[0])
    x = Axis(xs[0] - room, xs[-1] + room, "dropout", tuple(xs))
    chart = Chart("Sensitivity and precision by dropout", x, Axis(0, 1, "validation patients", percent=True), 420, 230)
    for name, key, series, dash, shift in (
        ("sensitivity", "sensitivity", "a", "solid", -0.1 * room),
        ("precision", "ppv", "b", "dash", 0.1 * room),
    ):
        figures = [one["figures"][key] for one in rows]
        at = [v + shift for v in xs]
        ys = [math.nan if f["value"] is None else float(f["value"]) for f in figures]
        there = [i for i, f in enumerate(figures) if f["interval"] is not None]
        chart.stems(
            [at[i] for i in there],
            [figures[i]["interval"][0] for i in there],
            [figures[i]["interval"][1] for i in there],
            series,  # type: ignore[arg-type]
        )
        chart.line(at, ys, series, name, dash)  # type: ignore[arg-type]
        known = [i for i, y in enumerate(ys) if math.isfinite(y)]
        chart.points([at[i] for i in known], [ys[i] for i in known], series, hollow=series == "b")  # type: ignore[arg-type]
    return chart.done("Validation patients, each network at the threshold of the operating point; bars: 95% intervals.")


def _swept(held: Said, one: Said) -> bool:
    """Whether a stage belongs to the sweep: one of another dropout, or the one that these are held against."""
    others = [row["before"] for row in held["stages"] if row["name"] not in (BASELINE, HARD)]
    return one["name"] not in (BASELINE, HARD) or one["name"] in others


def _in(titles: Sequence[str], stages: int) -> str:
    return "every stage" if len(titles) == stages > 1 else ", ".join(titles)


def _why(stages: Sequence[Said], name: str) -> str:
    """The evidence of a finding that fails in the baseline already; records of earlier versions keep none."""
    told = words.sentence(stages[0].get("evidence", {}).get(name, "")).rstrip(".")
    return f" (baseline: {audit_words.cut(told, _EVIDENCE)})" if told else ""


def _with(stages: Sequence[Said], names: Sequence[str]) -> list[str]:
    """Titles of the stages in which any of these findings failed."""
    return [one["title"] for one in stages if set(names) & set(one["failed"])]


def _distance(one: Said) -> float:
    """How far behind the best; infinite for what is left out."""
    held = one["standing"]
    return math.inf if held["new"] or held["behind"] is None else float(held["behind"])


def _counted(one: Said) -> str:
    c = one["counts"]
    return (
        f"{c['tp']} of {c['tp'] + c['fn']} positives found, {c['fp']} of {c['fp'] + c['tn']} negatives called positive"
    )


def _rates(one: Said) -> str:
    figures = one["figures"]
    return (
        f"sensitivity {words.percent(figures['sensitivity']['value'])}, precision "
        f"{words.percent(figures['ppv']['value'])}"
    )


def _of_dropout(one: Said) -> str:
    return f"{one['dropout']:g}: {_rates(one)} ({against(one, 'sensitivity')} for the positives)"


def _moved(one: Said, first: Said) -> str:
    now, was, held = one["counts"], first["counts"], one["change"]
    p = [words.chance(held["adjusted"][key]) for key in ("specificity", "sensitivity")]
    return (
        f"false positives {was['fp']} → {now['fp']} of {now['fp'] + now['tn']} (p {p[0]}), positives found "
        f"{was['tp']} → {now['tp']} of {now['tp'] + now['fn']} (p {p[1]})"
    )
