"""The page of audit_real.py."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

Told = Mapping[str, Any]
HEAD = """# Audits on real pictures

Written by `.venv/bin/python scripts/audit_real.py --runs runs/real --work runs/audit-real`; every figure comes from its
run. The networks are those of [brain-tumour.md](brain-tumour.md) and [stroke-ct.md](stroke-ct.md), made by the commands
there: SimpleCNN from random weights at 64² pixels. Intervals are 95%, over patients; where nobody knows the patients,
over pictures, and then too short. No picture is part of this project.

    insula evaluate published-run/bundle published.parquet --out published-report      # and grouped
    insula audit published-run/bundle published.parquet --out published-audit
    insula audit grouped-run/bundle grouped.parquet --out grouped-audit
    insula leaks published.parquet --out leaks
    insula audit by-patient/fold-0/bundle fold-0.parquet --set audit.robustness.grades=[5] --out stroke-audit-0
    insula audit by-patient/fold-0/bundle skull-0.parquet --check skull --out skull-audit-0   # to 4

`fold-0.parquet` is the cohort as `insula crossval` splits it, `skull-0.parquet` every third test picture of it. No
verb writes these tables: the script above does, into its `--work`, and `--folds 0` makes it audit fold 0 alone in
full. `published.parquet`, `grouped.parquet` and `stroke.parquet` come from the commands of the two pages.
"""
NAMES = {"published": "as published", "grouped": "duplicates grouped"}
FOUND = (
    ("evidence/files", "files of the training data, byte by byte"),
    ("evidence/pictures", "pictures of the training data, mirrored or changed too"),
    ("evidence/patients", "patients"),
    ("marks/colour_mode", "saved in colour: share among glioma less that among the others, its size"),
    ("baselines/metadata", "glioma by the file's metadata alone (colour mode), ROC-AUC"),
    ("baselines/border", "glioma by the outer tenth of the picture alone, ROC-AUC"),
    ("baselines/silhouette", "glioma by the outline of the head alone, ROC-AUC"),
    ("background/roc_auc", "glioma by what lies beside the head alone, ROC-AUC"),
    ("exchange/background", "move of the probability where the background is exchanged"),
    ("subgroups/mri.mode=L/specificity", "specificity lost in grey files"),
    ("robustness/mean_roc_auc", "ROC-AUC lost over all corruptions and strengths"),
)


def page(told: Told) -> str:
    """The whole page."""
    lines = [HEAD, *brain(told["brain"]), *stroke(told["stroke"])]
    return "\n".join(one if "|" in one or one == HEAD else _wrapped(one) for one in lines).rstrip() + "\n"


def _wrapped(text: str) -> str:
    """Paragraphs of at most 118 letters a line; headings and empty lines as they are."""
    kept = [one if one.startswith("#") else textwrap.fill(one, 118, break_on_hyphens=False) for one in text.split("\n")]
    return "\n".join(kept)


# -- brain_tumor_mri ---------------------------------------------------------------------------------------------------


def brain(told: Told) -> list[str]:
    """What the audits of brain_tumor_mri found by themselves, duplicates and colour mode."""
    return [*_found(told), *_duplicates(told), *_colour(told)]


def _found(told: Told) -> list[str]:
    lines = [
        "## brain_tumor_mri: what the audit finds by itself\n",
        "| | " + " | ".join(f"{NAMES[n]} ({told[n]['audit']['patients']:,} pictures)" for n in told) + " |",
        "|---" * (len(told) + 1) + "|",
        "| findings: fail, cannot tell, pass | " + " | ".join(_counts(told[n]["audit"]) for n in told) + " |",
    ]
    for check, said in FOUND:
        cells = [_finding(told[name]["audit"]["findings"].get(check)) for name in told]
        lines.append(f"| {said} (`{check}`) | {' | '.join(cells)} |")
    passes = told["published"]["audit"]["findings"]["baselines/metadata"]["verdict"] != "fail"
    return [
        *lines,
        "",
        "Robustness on 200 pictures, half of them glioma. Duplicates and colour mode are named without being asked "
        "for: `evidence` tells which test pictures were trained on, `marks` that one class is saved in colour more "
        "often. That one copy is named where duplicates were grouped shows the guard's own edge: it lies 16 of 256 "
        "bits away, and is no copy to `insula leaks`.",
        *(
            [
                "",
                "The file's metadata alone is within its limit in the published split, because it is held against "
                "half of what "
                "the model reaches and asks for glioma alone; grouping the duplicates left no glioma in colour in "
                "the test, "
                "and there it fails.",
            ]
            if passes
            else []
        ),
        "",
    ]


def _duplicates(told: Told) -> list[str]:
    first, second = told["published"], told["grouped"]
    n = first["accuracy"]["groups"]["copied"]["n"]
    lines = [
        "## Accuracy with and without the duplicates\n",
        f"`insula leaks` names {n:,} of {first['accuracy']['all']['n']:,} published test pictures of which a "
        "picture of "
        "the train split is an identical file or a near-duplicate; the guard above knows the val split too and is a "
        "little looser. "
        "*Nearest picture* is no "
        "network: it answers with the label of the training picture that correlates most at 64 × 64 grey pixels, "
        "and so "
        "shows what knowing pictures by heart is worth.\n",
        "| accuracy | SimpleCNN | nearest picture |",
        "|---|---|---|",
    ]
    for key, said in (("copied", "with a copy in training"), ("new", "without one")):
        row = [_with_n(first[of]["groups"][key]) for of in ("accuracy", "by_heart")]
        lines.append(f"| published test, {said} | {' | '.join(row)} |")
    lines += [
        "| difference | " + " | ".join(_signed(first[of]["apart"]) for of in ("accuracy", "by_heart")) + " |",
        "| published test, all | " + " | ".join(_with_n(first[of]["all"]) for of in ("accuracy", "by_heart")) + " |",
        "| duplicates grouped | " + " | ".join(_with_n(second[of]["all"]) for of in ("accuracy", "by_heart")) + " |",
        "",
        "| published test, accuracy | SimpleCNN, with a copy | without | nearest picture, with a copy | without |",
        "|---|---|---|---|---|",
    ]
    for name in first["accuracy"]["classes"]:
        held = [first[of]["classes"][name][key] for of in ("accuracy", "by_heart") for key in ("copied", "new")]
        lines.append(f"| {name} | {' | '.join(_with_n(one) for one in held)} |")
    return [
        *lines,
        "",
        f"So the published test flatters whoever learns by heart: {_of(first['by_heart']['all'])}, and "
        f"{_of(second['by_heart']['all'])} where copies are kept together. The small network gains nothing as a whole: "
        "at its threshold, chosen for a sensitivity of 0.9 for glioma, it calls hardly anything a meningioma, not even "
        f"what it was trained on (rightly {_with_n(first['trained']['copied'])}, of those with a copy in the test; "
        f"{_with_n(first['trained']['new'])}, of the others; drawn at random). Among gliomas it is better by "
        f"{_signed(first['accuracy']['classes']['glioma']['apart'])} where a copy was trained on. Neither column is "
        "the accuracy on new patients, which this set cannot give.",
        "",
    ]


def _colour(told: Told) -> list[str]:
    first = told["published"]
    modes = list(first["mode"]["modes"])
    lines = [
        "## Accuracy with and without the colour mode\n",
        "| accuracy over four classes | " + " | ".join(NAMES[n] for n in told) + " |",
        "|---" * (len(told) + 1) + "|",
        "| the network, files as they are | " + " | ".join(_of(told[n]["accuracy"]["all"]) for n in told) + " |",
        "| the network, every file read as grey | " + " | ".join(_of(told[n]["grey"]["accuracy"]) for n in told) + " |",
        "| answers that change by it | " + " | ".join(f"{told[n]['grey']['turned']:,}" for n in told) + " |",
        *(
            f"| the network, {said} files | " + " | ".join(_with_n(told[n]["mode"]["modes"][mode]) for n in told) + " |"
            for mode, said in zip(modes, ("grey", "colour"), strict=True)
        ),
        "| the colour mode alone | " + " | ".join(_of(told[n]["mode"]["alone"]) for n in told) + " |",
        "| always the commonest class | " + " | ".join(_of(told[n]["mode"]["nothing"]) for n in told) + " |",
        "",
        f"The colour mode alone answers `{first['mode']['common'][modes[0]]}` for grey files and "
        f"`{first['mode']['common'][modes[-1]]}` for the others. The recipe reads every file as grey: "
        f"{first['grey']['coloured']} of {first['grey']['files']} colour files of the published test hold any "
        "colour at "
        f"all, and no probability moves by more than {max(told[n]['grey']['largest'] for n in told):.3f} without "
        "it. So "
        "these networks cannot take the answer from the mode itself. They can from what goes with it: border, "
        "outline and background tell the classes apart as well, as the audit above found.\n",
        "| published test, accuracy | " + " | ".join(f"{said} files" for said in ("grey", "colour")) + " |",
        "|---|---|---|",
    ]
    for name, held in first["mode"]["classes"].items():
        lines.append(f"| {name} | " + " | ".join(_with_n(held[mode]) for mode in modes) + " |")
    return [*lines, ""]


# -- stroke_ct ---------------------------------------------------------------------------------------------------------


def stroke(told: Told) -> list[str]:
    """The five audits of stroke_ct and their patients together."""
    return [*_folds(told), *_skull(told), *_places(told), *_robustness(told)]


def _folds(told: Told) -> list[str]:
    held, every = told["folds"], told["all"]
    lines = [
        f"## stroke_ct: {len(held)} audits\n",
        f"{every['patients']} patients, {every['pictures']:,} pictures in five folds. Each fold's network is audited "
        f"on the patients that it has not seen, {_listed(held)} in full, with each corruption at everyday "
        "strength and at the greatest.\n",
        "| fold | patients | fail | cannot tell | pass | what fails |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in held.items():
        failed = [check for check, finding in one["findings"].items() if finding["verdict"] == "fail"]
        counts = [one["counts"][v] for v in ("fail", "cannot tell", "pass")]
        named = ", ".join(f"`{check}`" for check in failed) or "nothing"
        lines.append(f"| {name} | {one['patients']} | {' | '.join(map(str, counts))} | {named} |")
    return [
        *lines,
        "",
        "A dozen patients tell next to nothing, and the audits say so. "
        "Below, patients of several folds are taken together, each by the network that has not seen it. These are "
        "measurements, without verdicts.",
        "",
    ]


def _skull(told: Told) -> list[str]:
    held, thin = told["skull"], told["thin"]
    area, turned = held["roc_auc"], held["turned"]
    lines = [
        "## Without the skull\n",
        "These are 8-bit pictures in a brain window, without Hounsfield units. Bone is what is white around the brain, "
        "and everything but the brain becomes black. Every "
        f"{'third' if thin['every'] == 3 else str(thin['every']) + 'th'} picture of each patient of all folds: in "
        f"{held['pictures']:,} of {thin['pictures']:,} a brain is enclosed by white; the others are face, neck and "
        "vertex, or have air from an operation against the bone. The outlines were looked at in 232 pictures drawn at "
        "random, and in the 96 of every second picture that fit the bone worst.\n",
        "| patients | with skull | without | change | better, worse, unchanged | p (sign test) |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in held["labels"].items():
        figures = [_of(one["with"]), _of(one["without"]), _signed(one["change"])]
        counts = ", ".join(map(str, one["counts"]))
        lines.append(f"| {name} ({sum(one['counts'])}) | {' | '.join(figures)} | {counts} | {_p(one['p'])} |")
    return [
        *lines,
        "",
        "Probability of the true side, mean over patients; changes below 0.02 count as unchanged. ROC-AUC of these "
        f"pictures: {_of(area['with'])} with the skull, {_of(area['without'])} without, {_signed(area['lost'])} lost "
        f"(DeLong p {_p(area['p'])}). The answer changes in {turned['events']} of {turned['n']} patients. "
        f"{_moves(held['labels'])}",
        "",
    ]


def _moves(labels: Told) -> str:
    """What the changes of both labels say together."""
    up, down = labels["stroke"]["change"]["value"], labels["no stroke"]["change"]["value"]
    if up > 0 > down and min(up, -down) > 0.05:
        return (
            "Both sides move towards `stroke`: without bone every patient is more of a stroke to these networks, with "
            "one or without. So what they call normal rests on what was taken away (bone, scalp, headrest), or they "
            "take for a stroke whatever they have never seen; which of both, this cannot tell."
        )
    return "No common direction stands out."


def _places(told: Told) -> list[str]:
    lines = [
        "## Border and background\n",
        f"| | {told['patients']} patients of {_listed(told['folds'])} |",
        "|---|---|",
    ]
    for name, said in (
        ("outside", "outside the head"),
        ("border", "in the outer tenth of the picture"),
    ):
        held = told["heat"][name]
        lines += [
            f"| heat {said} | {_of(held['own'])} |",
            f"| the same in networks with weights drawn anew | {_of(held['drawn'])} |",
            f"| difference | {_signed(held['more'])} |",
        ]
    back, moved = told["background"], told["exchange"]
    lines += [
        f"| stroke by what lies beside the head alone, ROC-AUC | {_of(back['alone'])} |",
        f"| stroke by the networks, ROC-AUC | {_of(back['model'])} |",
        f"| move of the probability where the background is exchanged | {_signed(moved['background']['mean'])} |",
        f"| answers that turn by it | {moved['background']['turned'][0]} of {moved['background']['turned'][1]} |",
    ]
    for name, said in (("text", "letters"), ("device", "implants"), ("outline", "drawn lines")):
        a, n, b, m = told["marks"][name]["counts"]
        lines.append(f"| {said} suspected in patients with a stroke; without | {a} of {n}; {b} of {m} |")
    return [
        *lines,
        "",
        "The suspected letters of one fold (15 pictures) were looked at: they are fingers beside the head, the rim "
        "of an ear and bits of a headrest, and no letters.",
        "",
    ]


def _robustness(told: Told) -> list[str]:
    lines = [
        f"## Robustness, {told['patients']} patients\n",
        "| corruption | strength | ROC-AUC lost | change of the true side's probability | answers that turn | "
        "pictures refused |",
        "|---|---|---|---|---|---|",
    ]
    for one in told["robustness"]:
        strength = f"{one['strength']}{', everyday' if one['everyday'] else ''}"
        turned = f"{one['turned'][0]} of {one['turned'][1]}"
        lines.append(
            f"| {one['title']} | {strength} | {_signed(one['lost'])} | {_signed(one['change'])} | {turned} | "
            f"{one['refused']:,} |"
        )
    return [
        *lines,
        "",
        "ROC-AUC over several folds compares patients of different networks, before as after.",
        "",
    ]


# -- cells -------------------------------------------------------------------------------------------------------------


def _finding(held: Told | None) -> str:
    """A finding's value with its interval and verdict; of evidence the count that it tells."""
    if held is None:
        return "–"
    if held["limit"] is None and held["interval"] is None:
        counted = held["evidence"].split(":")[0]
        return f"**{held['verdict']}**: {counted}" if held["verdict"] == "fail" else held["verdict"]
    said = f"{_of(held)}, limit {held['limit']:.3g}"
    return f"{said}: **fail**" if held["verdict"] == "fail" else f"{said}: {held['verdict']}"


def _listed(folds: Told) -> str:
    *several, last = folds
    return f"folds {', '.join(several)} and {last}" if several else f"fold {last}"


def _counts(audit: Told) -> str:
    return ", ".join(str(audit["counts"][v]) for v in ("fail", "cannot tell", "pass"))


def _of(figure: Told) -> str:
    return f"{_number(figure['value'])}{_ends(figure['interval'])}"


def _with_n(figure: Told) -> str:
    return f"{_of(figure)}, n = {figure['n']:,}" if figure["n"] else "none"


def _signed(figure: Told) -> str:
    return f"{_number(figure['value'], '+')}{_ends(figure['interval'], '+')}"


def _ends(interval: Sequence[float] | None, sign: str = "") -> str:
    return f" ({_number(interval[0], sign)} to {_number(interval[1], sign)})" if interval else ""


def _number(x: float, sign: str = "") -> str:
    rounded = round(x, 3) + 0.0
    return f"{rounded:{sign if rounded else ''}.3f}".replace("-", "−")


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"
