"""The page of staged_audit_proof.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from insula.core.recipe import Recipe
from insula.report import words
from insula.workflows import staged_page
from insula.workflows.staged_plan import BASELINE, HARD, rounds_of, stages_of

Told = Mapping[str, Any]
HEAD = """# Does a staged audit tell the story that it is there to tell?

Written by `nice -n 10 .venv/bin/python scripts/staged_audit_proof.py`; the figures come from its run. Made patients,
whose truth is known; small pictures and SimpleCNN. Intervals are 95%, over patients.
"""


def page(kept: Sequence[Told], made: Told, recipe: Recipe) -> str:
    """The page of whole staged audits and of shorter ones with other seeds."""
    full = [told for told in kept if told["full"]]
    parts = [line for told in full for line in _stages(told)]
    return "\n".join(
        [HEAD, *_short(kept), *_setting(kept[0], made, recipe), *parts, *_test(kept), *_chalk(kept), *_dropout(full)]
    )


def _short(kept: Sequence[Told]) -> list[str]:
    """What the networks did on the test patients, a sentence for each staged audit."""
    lines = ["## In short\n", "On the test patients:\n"]
    for told in kept:
        name = f"- {_point(told)}, seed {told['seed']}:"
        first = told["test"][BASELINE]
        parts = []
        if HARD in told["test"]:
            hard, change = told["test"][HARD], told["changes"][HARD]
            chalk = [told["alarms"][stage]["falx and plexus"]["events"] for stage in (BASELINE, HARD)]
            parts.append(
                f"hard negatives took the false positives from {first['fp']} to {hard['fp']} of {hard['negatives']} "
                f"(p {words.chance(change['adjusted']['specificity'])}), in heads with calcified falx and plexus from "
                f"{chalk[0]} to {chalk[1]}, and the sensitivity from {_percent(first, 'sensitivity')} to "
                f"{_percent(hard, 'sensitivity')} (p {words.chance(change['adjusted']['sensitivity'])})"
            )
        worst = max(told["held"]["stages"], key=lambda one: float(one["dropout"]))
        last, before = told["test"][worst["name"]], told["test"][worst["before"]]
        change = told["changes"][worst["name"]]["adjusted"]
        parts.append(
            f"a dropout of {worst['dropout']:g} then took the sensitivity from {_percent(before, 'sensitivity')} to "
            f"{_percent(last, 'sensitivity')} (p {words.chance(change['sensitivity'])}) and the precision from "
            f"{_percent(before, 'precision')} to {_percent(last, 'precision')}"
        )
        lines.append(f"{name} {'; '.join(parts)}.")
    return [*lines, ""]


def _setting(first: Told, made: Told, recipe: Recipe) -> list[str]:
    counts = first["held"]["plan"]["patients"]
    section, rounds = stages_of(recipe.train), rounds_of(recipe.train)
    return [
        "## What was made\n",
        f"{made['patients']:,} patients of `insula phantom haemorrhage-ct`, {made['slices']} slices of "
        f"{made['size']}², half of them with a haemorrhage. "
        f"Falx and choroid plexus are calcified in {made['calcified']:.0%} of all patients and in no others, whether "
        "they bleed or not; the pineal gland, as always, in half. The network sees one brain window (0 to 80 HU), in "
        f"which chalk and blood are both white. {counts['train']} patients to train on, {counts['val']} to choose by, "
        f"{counts['test']} to test. {section[-1].stop} "
        f"epochs, then {rounds.rounds * rounds.epochs} in which the hard negatives fill {rounds.share:.0%} of each "
        "batch; the baseline trains these epochs too, without them.\n",
    ]


def _stages(first: Told) -> list[str]:
    held = first["held"]
    lines = [
        f"## The staged audit at {_point(first)}, on validation patients\n",
        f"Rule, written before: {held['plan']['rule']} {held['plan']['tie']}\n",
        "| stage | sensitivity | false positives | precision | sensitivity + specificity − 1 | positives won, lost | "
        "negatives won, lost | audit | by the rule |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in held["stages"]:
        mark = " (chosen)" if one["name"] == held["chosen"] else ""
        cells = [
            one["title"] + mark,
            staged_page.rate(one["figures"]["sensitivity"]),
            staged_page.alarms(one),
            staged_page.rate(one["figures"]["ppv"]),
            f"{words.value(one['primary'])} ({words.interval(one['primary'])})",
            staged_page.against(one, "sensitivity"),
            staged_page.against(one, "specificity"),
            one["verdict"] + (f": {', '.join(one['failed'])}" if one["failed"] else ""),
            staged_page.standing(one),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    test = held["test"]
    lines += [
        "",
        "Won and lost against the stage before (the baseline for hard negatives, hard negatives for each dropout): "
        "exact McNemar, p-values of all stages together corrected after Holm. Thresholds and epochs are chosen on "
        "these patients, so that the figures are better than on others.\n",
        f"The chosen network on the test patients: {staged_page.on_test(held)}\n",
    ]
    if test["failed"]:
        lines.append(f"What fails there: {', '.join(test['failed'])}.\n")
    return lines


def _test(kept: Sequence[Told]) -> list[str]:
    lines = [
        "## Every network on the test patients\n",
        "A staged audit shows them to the chosen one alone; here all are looked at afterwards, since these patients "
        "are made. p: exact McNemar against the stage before, corrected after Holm within a staged audit.\n",
        "| threshold | seed | stage | sensitivity | false positives | precision | positives won, lost | "
        "negatives won, lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for told in kept:
        for one in told["held"]["stages"]:
            found = told["test"][one["name"]]
            change = {"change": told["changes"].get(one["name"])}
            cells = [
                _point(told),
                str(told["seed"]),
                one["title"],
                staged_page.rate(found["sensitivity"]),
                f"{found['fp']} of {found['negatives']} ({_other(found['specificity'])})",
                staged_page.rate(found["precision"]),
                staged_page.against(change, "sensitivity"),
                staged_page.against(change, "specificity"),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _chalk(kept: Sequence[Told]) -> list[str]:
    groups = list(kept[0]["listed"])
    lines = [
        "## Is it the chalk?\n",
        "Heads without blood, by what is calcified in them: how many of the training heads the baseline calls positive "
        "and so are drawn again, and the false positives among the test patients before and after.\n",
        "| threshold | seed | calcified | listed, of the training heads | baseline | hard negatives |",
        "|---|---|---|---|---|---|",
    ]
    for told in kept:
        for name in groups:
            listed = told["listed"][name]
            cells = [_point(told), str(told["seed"]), name, f"{listed['listed']} of {listed['among']}"]
            cells += [_share(told["alarms"][stage][name]) for stage in (BASELINE, HARD) if stage in told["alarms"]]
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def _dropout(full: Sequence[Told]) -> list[str]:
    lines = [
        "## Dropout\n",
        "The networks with hard negatives, on the test patients.\n",
        "| threshold | dropout | sensitivity | precision | specificity |",
        "|---|---|---|---|---|",
    ]
    for told in full:
        rows = {one["dropout"]: one["name"] for one in told["held"]["stages"] if one["name"] != BASELINE}
        for dropout in sorted(rows):
            found = told["test"][rows[dropout]]
            cells = [staged_page.rate(found[key]) for key in ("sensitivity", "precision", "specificity")]
            lines.append(f"| {_point(told)} | {dropout:g} | {' | '.join(cells)} |")
    return [*lines, ""]


def _point(told: Told) -> str:
    """The operating point in words."""
    wanted = told["held"]["operating_point"].get("sensitivity")
    return "Youden's threshold" if wanted is None else f"a sensitivity of {wanted:.0%}"


def _percent(one: Told, key: str) -> str:
    return words.percent(one[key]["value"])


def _share(figure: Told) -> str:
    return f"{figure['events']} of {figure['n']} ({words.ends(figure['interval'])})"


def _other(figure: Told) -> str:
    """The interval of the other side of a share."""
    ends = figure["interval"]
    return words.ends((1 - ends[1], 1 - ends[0])) if ends else "–"
