from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from tests.audit.made_looks import ground, head, middle

from insula.audit.evidence import CHECK, judge
from insula.evaluate.evidence import Guard


def test_every_guard_of_the_evaluation_is_a_finding_with_its_own_verdict() -> None:
    made = ground([True, False], [head(0, size=24, slices=1)] * 2, middle)
    guards = (
        Guard("patients", "fail", "7 of 50 patients were trained on", tuple("abcdefg")),
        Guard("files", "pass", "none of 9 files was trained on"),
        Guard("plan", "cannot tell", "nobody counts the looks"),
    )
    part = judge(replace(made, report=replace(made.report, guards=guards, notes=("A note.",))), pd.DataFrame())
    assert [(f.check, f.verdict, f.value) for f in part.findings] == [
        ("evidence/patients", "fail", 7.0),
        ("evidence/files", "pass", 0.0),
        ("evidence/plan", "cannot tell", 0.0),
    ]
    assert part.findings[0].evidence == "7 of 50 patients were trained on: a, b, c, d, e and others"
    assert part.findings[1].evidence == "none of 9 files was trained on"
    assert all(np.isnan(f.limit) for f in part.findings)
    assert part.notes == ("A note.",)
    assert CHECK.measure is None
