from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.audit.made_groups import ground

from insula.audit import background
from insula.audit.background import judge, measure, out_of_fold
from insula.core.types import Case, Volume

N = 80
Y = np.arange(N) % 2 == 0
P = np.where(Y, 0.9, 0.1) + np.random.default_rng(0).normal(0, 0.02, N)
ON = ground(Y, P, [{} for _ in range(N)])


def head(rest: bool, units: str = "HU", table: float = -200.0) -> Volume:
    """A disc of tissue in air, with a board that is as black as air in a brain window under it."""
    rows, columns = np.mgrid[:64, :64]
    disc = np.hypot(rows - 30, columns - 32) < 20
    hu = np.where(disc, 40.0, -1000.0)
    if rest:
        hu[54:58, 10:54] = table
    hu = hu + np.random.default_rng(1).normal(0, 5, hu.shape)
    volume = np.repeat(hu[None, None], 3, axis=1).astype(np.float32)
    return Volume(volume, np.diag([3.0, 3.0, 5.0, 1.0]), units, "CT", "made")  # type: ignore[arg-type]


def fields(volume: Volume) -> np.ndarray:
    case: Case = ON.cases[0]
    role = ON.bundle.recipe.role
    return np.array(list(measure(ON, case, {role: (volume,)}).values())).reshape(12, 12)


def test_a_headrest_is_seen_where_it_stands_and_the_head_is_not() -> None:
    plain, rested = fields(head(False)), fields(head(True))
    assert np.abs(plain).max() < 0.01
    assert rested[10, 4:8].min() > 0.05
    assert np.abs(rested[:9]).max() < 0.01
    lesion = head(True)
    bled = replace(lesion, array=np.where(lesion.array > 0, lesion.array + 40, lesion.array))
    np.testing.assert_allclose(fields(bled), rested, atol=1e-6)


def test_air_of_another_scanner_is_no_background() -> None:
    other = head(False)
    shifted = replace(other, array=np.where(other.array < -500, other.array + 60, other.array))
    assert np.abs(fields(shifted)).max() < 0.01


def table(tell: float) -> pd.DataFrame:
    g = np.random.default_rng(3)
    x = g.normal(0, 1, (N, 144))
    x[:, 130:142] += tell * Y[:, None]  # a headrest covers some fields
    named = {f"background/{i:03}": x[:, i] for i in range(144)}
    return pd.DataFrame({"case": [c.key for c in ON.cases], "patient": [c.patient for c in ON.cases], **named})


def test_a_background_that_tells_the_classes_apart_fails_and_one_that_does_not_passes() -> None:
    (found,) = judge(ON, table(2.0)).findings
    assert (found.check, found.verdict) == ("background/roc_auc", "fail")
    assert found.value > 0.95
    (found,) = judge(ON, table(0.0)).findings
    assert found.verdict == "pass"
    assert found.limit == pytest.approx(0.75, abs=0.01)


def test_scores_are_of_patients_that_were_held_out() -> None:
    g = np.random.default_rng(5)
    areas = []
    for seed in range(20):
        x = g.normal(0, 1, (60, 144))
        y = np.arange(60) % 2 == 0
        scores = out_of_fold(x, y, seed)
        areas.append(float((scores[y][:, None] > scores[~y][None]).mean()))
    assert abs(np.mean(areas) - 0.5) < 0.06  # fitted to themselves they would all be 1


def test_few_patients_and_no_background_are_said() -> None:
    small = ground(np.arange(12) < 4, np.linspace(0.1, 0.9, 12), [{} for _ in range(12)])
    rows = table(0.0).head(12).assign(case=[c.key for c in small.cases], patient=[c.patient for c in small.cases])
    (found,) = judge(small, rows).findings
    assert found.verdict == "cannot tell"
    assert "4 patients of the rarer class" in found.evidence
    none = judge(ON, pd.DataFrame({"case": [], "patient": []}))
    assert (none.findings, len(none.notes)) == ((), 1)
    assert background.CHECK.name == "background"
