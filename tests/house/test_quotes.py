"""A figure that one page quotes from another one is still the figure of that page, which programs write anew."""

from __future__ import annotations

import re

import pytest
from tests.house.walk import ROOT

# page → (its words, the page they are taken from, what stands there)
QUOTES = (
    ("limits", "(58 of 60)", "reliability", "| left and right exchanged, the header silent | 60 | 0 | 2 | 58 |"),
    ("limits", "(57 of 60)", "reliability", "| order of slices turned over, the header silent | 60 | 0 | 3 | 57 |"),
    (
        "limits",
        "unnoticed in 7 of 60 made heads",
        "reliability",
        "| contrast agent, the header silent | 60 | 0 | 53 | 7 |",
    ),
    ("limits", "1 to 12 in a hundred for 72 of them", "uncertainty", "with 72 of them, between 1 and 12 in a hundred"),
    ("limits", "about one text in eight was missed", "deidentification", "about one text in eight was missed"),
    ("limits", "One driver holds some 12 million studies", "scale", "about 12,000,000 studies on Ray"),
    (
        "limits",
        "About a fifth of the heat lies in the lesion",
        "results/localisation",
        "about a fifth of the heat lies in a lesion",
    ),
    ("limits", "from 30% to 60% was not found within 1,000 patients", "monitoring", "a rise to 60% not within 1,000"),
    ("clinical-background", "998 of 1,311 test pictures", "results/brain-tumour-data", "998 of 1,311 (76%)"),
    ("clinical-background", "Cramér's V 0.63", "results/brain-tumour-data", "Cramér's V 0.63"),
    (
        "honest-evaluation",
        "Of 1,311 test pictures of a public brain tumour set 998",
        "results/brain-tumour-data",
        "998 of 1,311",
    ),
    (
        "cards/stroke-ct",
        "0.641 (0.483 to 0.773)",
        "results/stroke-ct",
        "| 0.641 (0.483 to 0.773) | 0.806 (0.666 to 0.897) |",
    ),
    ("cards/stroke-ct", "0.806 (0.666 to 0.897)", "results/stroke-ct", "| 0.806 (0.666 to 0.897) |"),
    (
        "cards/stroke-ct",
        "1,885 slices of 62 patients (39 normal, 23 stroke)",
        "results/stroke-ct",
        "of 62 patients (39 normal, 23",
    ),
    ("cards/brain-tumour", "5,467 of 7,019", "results/brain-tumour-data", "| 5,467 of 7,019 |"),
    ("cards/brain-tumour", "0.92 to 0.94", "results/brain-tumour", "64 grey values of a picture give 0.92 to 0.94"),
    (
        "cards/haemorrhage-ct",
        "0.63 for subarachnoid",
        "results/localisation",
        "| haemorrhage | 192 | subarachnoid | 0.63 ",
    ),
    (
        "cards/haemorrhage-ct",
        "0.71 for intraparenchymal",
        "results/localisation",
        "| haemorrhage | 192 | intraparenchymal | 0.71 ",
    ),
)


def flat(page: str) -> str:
    """A page with its line breaks as blanks, so that a quotation may go over one."""
    return " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(("page", "words", "of", "there"), QUOTES)
def test_a_quoted_figure_stands_where_it_is_taken_from(page: str, words: str, of: str, there: str) -> None:
    assert words.lower() in flat(page).lower(), f"docs/{page}.md says it in other words now: mend this list"
    assert there.lower() in flat(of).lower(), f"docs/{of}.md has another figure now: mend docs/{page}.md"


def test_the_planted_faults_are_counted_as_the_bench_counts_them() -> None:
    found = [int(hits) for hits in re.findall(r"\| (\d+) of 10 \(", flat("results/audit-bench"))]
    assert f"named in {sum(found)} of {10 * len(found)} cohorts" in flat("limits")
