"""The page of phantom_proofs.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Told = Mapping[str, Any]
HEAD = """# Do the parts of a network do what they are there for?

Written by `.venv/bin/python scripts/phantom_proofs.py`; the figures come from its run. Made patients, whose truth is
known; small pictures and SimpleCNN, so that each proof takes some minutes of one core. Intervals are 95%, over patients
of the test split; every network was chosen on validation patients.
"""


def page(kept: Mapping[str, Told]) -> str:
    """The page of all four proofs."""
    return "\n".join(
        [HEAD, *pooling(kept["pooling"]), *fusion(kept["fusion"]), *stage(kept["stage"]), *rare(kept["rare"])]
    )


def pooling(told: Told) -> list[str]:
    """One slice of thirty."""
    counts = told["counts"]
    lines = [
        "## One slice of thirty carries the lesion\n",
        f"Head CT of {told['slices']} slices; every second patient has a haemorrhage in one of them, with "
        f"{told['strength']:.0%} of its own contrast. {_counts(counts)} "
        "Training pictures were mirrored and not changed otherwise; no dropout. Each pool at the learning rate of "
        f"{', '.join(f'{rate:g}' for rate in told['rates'])} that has its lowest validation loss.\n",
        "| pool | learning rate | ROC-AUC | validation loss |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {found['lr']:g} | {_figure(found)} | {found['val_loss']:.3f} |"
        for name, found in told["pools"].items()
    ]
    lines += ["", "| difference of ROC-AUC | | p (DeLong) |", "|---|---|---|"]
    lines += [
        f"| {key} | {_figure(told[key])} | {_p(told[key]['p'])} |" for key in told if key.startswith("attention minus")
    ]
    return [*lines, ""]


def fusion(told: Told) -> list[str]:
    """Two roles against each alone."""
    lines = [
        "## The class needs CT and MR\n",
        f"Made tumours of which neither CT nor MR alone tells the class (`insula phantom --modality both`). "
        f"{_counts(told['counts'])} ROC-AUC of malignant against the others, accuracy over three classes.\n",
        "| network | ROC-AUC | accuracy |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {_figure(m['auc'])} | {_figure(m['accuracy'])} |" for name, m in told["models"].items()]
    lines += ["", "| difference of ROC-AUC | | p (DeLong; Holm for the first two) |", "|---|---|---|"]
    gaps = [key for key in told if " minus " in key]
    for key in sorted(gaps, key=lambda name: "without" in name):
        found = told[key]
        lines.append(f"| {key} | {_figure(found)} | {_p(found.get('p_holm', found['p']))} |")
    return [*lines, "\n`both without the other`: the fused network where that one scan alone is there at prediction.\n"]


def stage(told: Told) -> list[str]:
    """Stage and survival."""
    kappa, total = told["kappa"], sum(sum(row) for row in told["confusion"])
    lines = [
        "## Stage and survival\n",
        f"One network with an ordinal head (four stages) and two Cox heads. {_counts(told['counts'])} The figures are "
        f"over the {total} test patients with a tumour. Quadratic kappa of the stage: {_figure(kappa)}.\n",
        "| outcome | events | C-index of the head | C-index of the true hazard |",
        "|---|---|---|---|",
    ]
    names = {"own": "the phantom's own times", "steep": "times that size and class decide more"}
    lines += [
        f"| {said} | {told[key]['events']} | {_figure(told[key]['c'])} | {_figure(told[key]['ceiling'])} |"
        for key, said in names.items()
    ]
    lines.append(
        "\nThe last column is what no model can pass but by luck: times are drawn at random, given the hazard.\n"
    )
    return lines


def rare(told: Told) -> list[str]:
    """A class of 5%."""
    lines = [
        "## A class of 5%\n",
        f"{_counts(told['counts'])} In training {told['share']:.0%} bleed, in the test half, so that recall rests on "
        f"enough patients. {len(told['seeds'])} seeds, the same for each loss; called where its probability is "
        "the larger one.\n",
        "| loss | recall | specificity | recall of each seed |",
        "|---|---|---|---|",
    ]
    names = {
        "plain": "cross-entropy",
        "focal": "focal, γ 2",
        "weights": "class weights",
        "both": "focal and class weights",
    }
    for key, found in told["losses"].items():
        each = ", ".join(f"{r:.2f}" for r in found["recalls"])
        lines.append(f"| {names[key]} | {_figure(found['recall'])} | {_figure(found['specificity'])} | {each} |")
    lines += ["", "| difference of recall | | p (paired bootstrap, Holm) |", "|---|---|---|"]
    lines += [f"| {key} | {_figure(told[key])} | {_p(told[key]['p_holm'])} |" for key in told if " minus " in key]
    return [*lines, ""]


def _counts(counts: Mapping[str, int]) -> str:
    return f"{counts['train']} patients to train on, {counts['val']} to choose by, {counts['test']} to test."


def _figure(found: Told) -> str:
    value = f"{found['value']:.3f}".replace("-", "−")
    if not found["interval"]:
        return f"{value} ({found['reason']})"
    low, high = (f"{end:.3f}".replace("-", "−") for end in found["interval"])
    return f"{value} ({low} to {high})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
