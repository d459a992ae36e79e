"""The page of staged_audit_proof.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scripts import staged_audit_pooled as pooled
from scripts.staged_audit_pooled import Pooled

from insula.core.recipe import Recipe
from insula.report import words
from insula.workflows import staged_page
from insula.workflows.staged_plan import BASELINE, HARD, rounds_of, stages_of

Told = Mapping[str, Any]
CHALK = "falx and plexus"
HEAD = """# Does a staged audit tell the story that it is there to tell?

Written by `nice -n 10 .venv/bin/python scripts/staged_audit_proof.py`; the figures come from its run. Made patients,
whose truth is known; small pictures and SimpleCNN. Intervals are 95%, over patients.
"""

SLOPE = """`calibration/slope` asks how far the slope of the logits lies from 1, and fails where that is surely more
than 0.5 ([audit.md](../audit.md)): the networks order the patients, but their probabilities are not to be taken at
their word.
The baseline has it as well, so the rule leaves no stage out for it. On which side of 1 the slope lies stands in
`stages/NAME/audit/audit.html` of the run.
"""


def page(kept: Sequence[Told], made: Told, recipe: Recipe, chalk: Mapping[str, str]) -> str:
    """The page of whole staged audits and of shorter ones with other seeds. chalk: what is calcified in a patient."""
    full = [told for told in kept if told["full"]]
    points = [[told for told in kept if _point(told) == name] for name in dict.fromkeys(_point(told) for told in kept)]
    return "\n".join(
        [
            HEAD,
            *_short(points, chalk),
            *_setting(kept[0], len(points[0]), made, recipe),
            *(line for told in full for line in _stages(told)),
            *([SLOPE] if any("calibration/slope" in told["held"]["stages"][0]["failed"] for told in full) else []),
            *_test(kept),
            *_chalk(points, chalk),
        ]
    )


def _short(points: Sequence[Sequence[Told]], chalk: Mapping[str, str]) -> list[str]:
    """Both claims at each threshold, over all seeds."""
    told = "\n".join(line for same in points for line in _claims(same))
    return [
        "## In short\n",
        f"{told}\n",
        "Shares of the test patients, the earlier → the later stage, mean over seeds; difference with its interval "
        "(paired bootstrap over patients). So the intervals are of these networks; how much another seed may differ is "
        "seen in the single seeds alone. Each interval is 95% by itself. Every network has a threshold of its own, "
        "chosen on validation patients; where it holds the sensitivity there, a worse network calls more negatives "
        "positive instead.\n",
        *_pooled(points, chalk),
    ]


def _claims(same: Sequence[Told]) -> list[str]:
    name = _point(same[0])
    there = pooled.with_both(same, HARD, BASELINE)
    lines = []
    if there:
        wrong, found, both = (f(there, HARD, BASELINE) for f in (pooled.alarms, pooled.found, pooled.youden))
        lines.append(
            f"- At {name}, hard negatives {_did(wrong, 'the share of negatives called positive')}: {wrong}; by seed "
            f"{wrong.by_seed}. They {_did(found, 'recall')}: {found}; by seed {found.by_seed}. They "
            f"{_did(both, 'sensitivity + specificity − 1')}: {both}."
        )
    worst, before = _worst(same)
    there = pooled.with_both(same, worst["name"], before)
    found, right = (figure(there, worst["name"], before) for figure in (pooled.found, pooled.precision))
    lines.append(
        f"- At {name}, a dropout of {worst['dropout']:g} {_did(found, 'recall')}: {found}; by seed {found.by_seed}. It "
        f"{_did(right, 'precision')}: {right}."
    )
    return lines


def _did(change: Pooled, what: str) -> str:
    return {-1: f"cut {what}", 0: f"showed no change of {what}", 1: f"raised {what}"}[change.sign]


def _title(told: Told, name: str) -> str:
    return next((str(one["title"]) for one in told["held"]["stages"] if one["name"] == name), "")


def _worst(same: Sequence[Told]) -> tuple[Told, str]:
    """The stage of the strongest dropout, and the one that it is held against."""
    found = max(same[0]["held"]["stages"], key=lambda one: float(one["dropout"]))
    return found, str(found["before"])


def _pooled(points: Sequence[Sequence[Told]], chalk: Mapping[str, str]) -> list[str]:
    lines = [
        "| threshold | stages | seeds | negatives called positive | of negatives with calcified falx and plexus | "
        "sensitivity | precision | sensitivity + specificity − 1 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    calcified = {patient: group == CHALK for patient, group in chalk.items()}
    for same in points:
        for one in same[0]["held"]["stages"]:
            now, before = one["name"], one["before"]
            there = pooled.with_both(same, now, before)
            if there:
                cells = [
                    f"{_title(same[0], before)} → {_title(same[0], now).lower()}",
                    str(len(there)),
                    pooled.alarms(there, now, before),
                    pooled.alarms(there, now, before, calcified),
                    pooled.found(there, now, before),
                    pooled.precision(there, now, before),
                    pooled.youden(there, now, before),
                ]
                lines.append(f"| {_point(same[0])} | {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def _setting(first: Told, seeds: int, made: Told, recipe: Recipe) -> list[str]:
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
        f"batch; the baseline trains these epochs too, without them. Both have a dropout of "
        f"{recipe.model.dropout:g}; networks of another dropout train with the same hard negatives. {seeds} seeds "
        "of training on the same patients, the first with all stages and checks.\n",
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
        f"{staged_page.failures(held)} {staged_page.choice(held)}\n",
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


def _chalk(points: Sequence[Sequence[Told]], chalk: Mapping[str, str]) -> list[str]:
    lines = [
        "## Is it the chalk?\n",
        "Heads without blood, by what is calcified in them: how many of the training heads the baseline calls positive "
        "and so are drawn again, all seeds together; and the share of the test heads that is called positive, before "
        "and after. The groups are not tested against one another.\n",
        "| threshold | calcified | listed, of the training heads | baseline → hard negatives | points by seed |",
        "|---|---|---|---|---|",
    ]
    for same in points:
        there = pooled.with_both(same, HARD, BASELINE)
        for name in dict.fromkeys(there[0]["listed"] if there else ()):
            listed, among = (sum(told["listed"][name][key] for told in there) for key in ("listed", "among"))
            change = pooled.alarms(there, HARD, BASELINE, {patient: group == name for patient, group in chalk.items()})
            lines.append(
                f"| {_point(same[0])} | {name} | {listed} of {among} ({words.percent(listed / among)}) | {change} | "
                f"{change.by_seed} |"
            )
    return [*lines, ""]


def _point(told: Told) -> str:
    """The operating point in words."""
    wanted = told["held"]["operating_point"].get("sensitivity")
    return "Youden's threshold" if wanted is None else f"a sensitivity of {wanted:.0%}"


def _other(figure: Told) -> str:
    """The interval of the other side of a share."""
    ends = figure["interval"]
    return words.ends((1 - ends[1], 1 - ends[0])) if ends else "–"
