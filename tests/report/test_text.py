from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.made_report import plain, without_positives

from insula.evaluate.evidence import Baselines, Permutation, Seeds, Site, Spread
from insula.evaluate.outcome import LIMITS, Failure
from insula.report import words
from insula.report.text import summary

KEYS = tuple(plain().positive.figures)


def line(name: str, text: str) -> str:
    return next(row.strip() for row in text.splitlines() if row.strip().startswith(f"{name}  "))


def test_the_headline_comes_first_and_the_limits_last() -> None:
    lines = summary(plain()).splitlines()
    assert lines[0] == plain().headline
    assert lines[-1] == LIMITS


@pytest.mark.parametrize("name", KEYS)
def test_a_line_holds_value_interval_and_basis(name: str) -> None:
    figure = plain().positive.figures[name]
    assert figure.interval is not None
    parts = [part for part in line(words.NAMES[name], summary(plain())).split("  ") if part]
    low, high = figure.interval
    assert parts[1].strip() == f"{figure.value:.3f}".replace("-", "−")
    assert parts[2].strip() == f"{low:.3f} to {high:.3f}".replace("-", "−")
    assert parts[3].strip().startswith(f"{figure.events} of {figure.n} patients" if words.is_share(name) else "24 pat")


def test_columns_stand_below_each_other() -> None:
    lines = summary(plain()).splitlines()
    start = next(i for i, row in enumerate(lines) if row.split()[:1] == ["value"])
    column = lines[start].index("value")
    table = lines[start + 1 : start + 1 + len(KEYS)]
    assert all(row[column - 1] == " " and row[column] in "−0123456789" for row in table)


def test_undefined_figures_say_why() -> None:
    assert "–" in line("Sensitivity", summary(without_positives()))
    assert "no patient is positive" in line("Sensitivity", summary(without_positives()))


def test_policy_heat_failures_and_notes_are_told() -> None:
    report = replace(plain(), failures=(Failure("case-9", "too dark"), Failure("case-10", "x")), notes=("Mind this.",))
    text = summary(report)
    found = report.localisation
    assert found is not None
    assert report.coverage is not None
    assert f"Heat peak inside the lesion: {found.hits} of {found.n} true positives" in text
    iou = found.lesions[0].iou.value
    assert f"  Map of stroke on all lesions ({found.n}): IoU {100 * iou:.1f}% (" in text
    assert "heat in it 60.0%, in the rest of the brain 30.0%, outside " in text
    assert "2 cases could not be predicted; the first: case-9: too dark" in text
    assert "Note: Mind this." in text
    accepted = report.coverage["accepted"]
    assert line("Accepted", text).endswith(f"{accepted.events} of {accepted.n} cases")


def test_site_baselines_shuffles_and_seeds_are_told_in_a_line_each() -> None:
    report = replace(
        plain(),
        site=Site("external", "No site is shared.", {"B": 24}, 0, 24),
        baselines=Baselines((), {"metadata": "no column"}, "No trivial model could be fitted."),
        permutation=Permutation(0.8, 0.4, 0.6, 0.0005, 1000),
        seeds=Seeds(("x", "y"), (1, 2), {"roc_auc": Spread((0.7, 0.8), 0.75, 0.7, 0.8, 0.07)}),
    )
    lines = summary(report).splitlines()
    assert "Internal or external: external (No site is shared)." in lines
    assert "No trivial model could be fitted." in lines
    assert "Labels shuffled over patients: ROC-AUC 0.400 to 0.600 (p < 0.001)." in lines
    assert "2 seeds: ROC-AUC 0.750 on average, 0.700 to 0.800." in lines
    assert "Internal or external" not in summary(plain())
