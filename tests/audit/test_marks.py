from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep
from tests.audit.made_looks import ground, head, middle, recipe, table

from insula.audit.ground import Ground
from insula.audit.marks import CHECK, judge, measure
from insula.audit.part import Part
from insula.core.types import Volume

N = 60
POSITIVE = [i % 2 == 1 for i in range(N)]
NAMES = ("text", "device", "outline", "colour", "colour_mode")


def on(positive: list[bool] = POSITIVE, patients: list[str] | None = None, **audit: Any) -> Ground:
    return ground(
        positive, [head(0, size=24, slices=1)] * len(positive), middle, patients=patients, given=recipe(**audit)
    )


def judged(made: Ground, **marked: Any) -> Part:
    plain = {"case": [c.key for c in made.cases], "patient": [c.patient for c in made.cases]}
    return judge(made, pd.DataFrame(plain | {f"marks/{k}": np.asarray(v, float) for k, v in marked.items()}))


def test_what_the_finders_see_on_any_scan_of_a_case_is_measured() -> None:
    lettered = head(1)
    lettered.array[0, :, 4:10, 52:54] = 1400.0
    lettered.array[0, :, 8:10, 52:58] = 1400.0
    clipped = head(2)
    clipped.array[0, 2, 30:33, 30:33] = 2900.0
    made = ground([True, False, False], [(head(0), lettered), clipped, head(3)], middle)
    found = table(made, measure)
    assert found[[f"marks/{n}" for n in NAMES]].to_numpy().tolist() == [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0],
    ]


@pytest.mark.parametrize(
    ("mode", "wanted"), [("RGB", 1.0), ("L", 0.0), ("L+RGB", 1.0), ("I;16", 0.0), ("P", 1.0), ("", 0.0)]
)
def test_a_picture_that_was_saved_in_colour_is_known_though_it_is_read_as_grey(mode: str, wanted: float) -> None:
    picture = Volume(head(0).array[:, :1], np.eye(4), "a.u.", "", "p", full_scale=255.0, attributes={"mode": mode})
    made = ground([True], [picture], middle, "OT")
    assert table(made, measure)["marks/colour_mode"].tolist() == [wanted]
    slide = replace(picture, modality="SM")
    assert table(ground([True], [slide], middle, "OT"), measure)["marks/colour_mode"].tolist() == [0.0]


def test_the_difference_of_shares_has_newcombes_interval() -> None:
    marked = np.zeros(N)
    marked[[1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 0, 2]] = 1
    part = judged(on(), text=marked)
    (found,) = part.findings
    low, high = confint_proportions_2indep(10, 30, 2, 30, method="newcomb", compare="diff", correction=False)
    assert found.value == pytest.approx(8 / 30)
    assert found.interval == pytest.approx((low, high))
    assert found.evidence == (
        "Letters burned into the picture: suspected in 10 of 30 positive patients and in 2 of 30 negative ones; for "
        "example c00, c01, c02, c03, c05."
    )


def test_marks_on_one_class_fail_whichever_it_is_and_on_both_or_none_pass() -> None:
    y = np.array(POSITIVE)
    part = judged(on(), text=y, device=~y, outline=np.ones(N), colour=np.zeros(N), colour_mode=y)
    assert {f.check.split("/")[1]: f.verdict for f in part.findings} == {
        "text": "fail", "device": "fail", "outline": "pass", "colour": "pass", "colour_mode": "fail"
    }  # fmt: skip
    assert len(part.tables[0].rows) == 5


def test_a_patient_bears_a_mark_where_any_case_does_and_counts_once() -> None:
    owners = [f"p{i // 2}" for i in range(8)]
    part = judged(on([True] * 4 + [False] * 4, owners), text=[1, 0, np.nan, 1, 0, 0, np.nan, np.nan])
    assert "suspected in 2 of 2 positive patients and in 0 of 1 negative ones" in part.findings[0].evidence


def test_without_one_of_both_sides_or_without_a_scan_nothing_can_be_told() -> None:
    found = judged(on([True] * 10), text=np.ones(10)).findings[0]
    assert (found.verdict, np.isnan(found.value)) == ("cannot tell", True)
    assert "there are not both positives and negatives" in found.evidence
    assert judged(on()).notes == ("No scan could be looked at.",)


def test_the_limit_of_the_recipe_is_held() -> None:
    y = np.array(POSITIVE)
    verdicts = [judged(on(shortcuts={"marks": limit}), text=y).findings[0].verdict for limit in (0.2, 1.0, None)]
    assert verdicts == ["fail", "pass", "cannot tell"]
    assert CHECK.measure is measure
