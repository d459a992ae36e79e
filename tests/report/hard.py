"""A record that is hard to set: long reasons, names, paths and hashes, and a class that nobody has."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from tests.report.made_report import held, make

from insula.evaluate.evidence import Baselines, Guard, Look, Looks, Plan, Reader, Readers, Site, TrivialModel
from insula.evaluate.outcome import Failure
from insula.metrics.intervals import Figure
from insula.report.record import Record

PATH = "site-07/2019/intraparenchymal-haemorrhage/P000123456789/series-0001/IM-0001-0042-with-a-name-without-end.dcm"
CLASSES = ("no haemorrhage at all", "intraparenchymal haemorrhage", "subarachnoid haemorrhage")
HASH, TEST_SET = "ab12" * 16, "cd34" * 16


@cache
def record() -> Record:
    """Three classes of which only the first has patients, and everything beside the figures that there can be."""
    share, none = (
        Figure(0.75, (0.5, 0.9), "modified Wilson", 24, 24, 18),
        "a single patient decides whether it is defined",
    )
    unknown = Figure(float("nan"), None, "", 24, 24, 0, f"{none}: too few patients")
    plan = Plan(
        hash=HASH, test_set=TEST_SET, cases=48, patients=24, split="test", models=(HASH,), target="answer",
        positive=CLASSES[-1], thresholds={}, aggregate="mean", primary=f"roc_auc of '{CLASSES[-1]}' over patients",
        figures=("roc_auc", "brier"), replicates=60, seed=0, time="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    looks = tuple(Look(i, "2026-01-02T03:04:05+00:00", (HASH, TEST_SET), HASH, 48) for i in (1, 2))
    reader = Reader("A. N. Other", 40, 48, 24, share, unknown, share, share, share, share, unknown, (None, 0.75), None)
    trivial = TrivialModel(
        "metadata", "facts about scan and patient, no picture", tuple(f"SeriesDescription{i}" for i in range(20)),
        "gradient boosting", 80, share, unknown, False,
    )  # fmt: skip
    report = make(
        CLASSES,
        only=0,
        source={"cohort": "somewhere", "split": "test", "sha256": TEST_SET},
        notes=("Mind this.", "and that"),
    )
    facts = replace(report.facts, question="The predictions in elsewhere.csv")
    return held(
        replace(
            report,
            facts=facts,
            guards=(
                Guard(
                    "pictures",
                    "fail",
                    f"3 of 48 cases show a picture of the training data, such as {PATH}.",
                    (PATH,) * 6,
                ),
                Guard("threshold", "cannot tell", "no model is at hand, so nothing tells what it was trained on"),
            ),
            looks=Looks(plan, 2, plan.time, 2, (), "looks.jsonl", True, looks, "This is look 2 at this test set"),
            site=Site("external", "none of the test sites was trained on", {"B": 24}, 0, 24),
            baselines=Baselines((trivial,), {"border": none}, "Not told apart."),
            readers=Readers((reader, reader), None, {"A. N. Other and another": unknown}, ("One left out.",)),
            failures=(Failure(PATH, "it is no readable scan."),),
        )
    )
