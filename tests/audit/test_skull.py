from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.audit.made_looks import Looks, ground, head, middle, recipe, table

from insula.audit.ground import Ground
from insula.audit.part import Part
from insula.audit.skull import CHECK, measure
from insula.core.types import Volume
from insula.metrics.compare import delong, sign_test
from insula.prep.brain import remove_skull

N = 60
POSITIVE = [i % 2 == 1 for i in range(N)]


def bony(positive: bool, i: int) -> Volume:
    """A head without a lesion whose bone is denser where positive."""
    return head(i, bone=1000.0 + 200.0 * positive + (i % 7) * 20.0)


def bone(volume: Volume) -> float:
    """What a model says that looks at bone alone."""
    hard = volume.array[volume.array > 500]
    return float(np.clip((hard.mean() - 1000) / 400, 0.02, 0.98)) if hard.size else 0.5


def judged(on: Ground) -> Part:
    return CHECK.judge(on, table(on, measure))


def of(part: Part, name: str) -> Any:
    return next(one for one in part.findings if one.check == f"skull/{name}")


def test_a_model_that_looks_at_bone_loses_its_roc_auc() -> None:
    on = ground(POSITIVE, [bony(p, i) for i, p in enumerate(POSITIVE)], bone)
    lost = of(judged(on), "roc_auc")
    assert lost.value == pytest.approx(on.report.positive.figures["roc_auc"].value - 0.5)
    assert lost.verdict == "fail"
    p = delong(on.positive(on.patients), on.scores(on.patients), np.full(N, 0.5)).p_value
    assert f"and 0.500 without it (DeLong p {p:.3f})" in lost.evidence or np.isnan(p)


def test_a_model_that_looks_at_the_lesion_does_not_need_the_skull() -> None:
    on = ground(POSITIVE, [head(i, lesion=p) for i, p in enumerate(POSITIVE)], middle)
    part = judged(on)
    assert (of(part, "roc_auc").value, of(part, "roc_auc").verdict) == (0.0, "pass")
    assert of(part, "changed").value == 0.0
    few = ground(POSITIVE[:10], [head(i, lesion=p) for i, p in enumerate(POSITIVE[:10])], middle)
    assert of(judged(few), "roc_auc").verdict == "cannot tell"
    assert (
        "5 positive and 5 negative patients stand in the same order; 20 of each are needed to tell"
        in of(judged(few), "roc_auc").evidence
    )


def test_the_scan_without_its_skull_is_that_of_the_preparation_step() -> None:
    seen: list[Volume] = []
    on = ground([True, False], [bony(True, 0), bony(False, 1)], bone)
    looks = on.predictor
    assert isinstance(looks, Looks)
    looks.look = lambda volume: seen.append(volume) or 0.5
    scans = on.predictor.read(on.cases[0], on.root)
    measure(on, on.cases[0], scans)
    assert np.array_equal(seen[0].array, remove_skull(scans["ct"][0]).array)


def test_better_worse_and_unchanged_are_counted_as_by_hand() -> None:
    after = {0: 0.30, 1: 0.60, 2: 0.41, 3: 0.90, 4: 0.40, 5: 0.63, 6: 0.39, 7: 0.20}
    positive = [i % 2 == 1 for i in after]

    def look(volume: Volume) -> float:
        i = round(float(volume.array[0, 0, 31, 31]))
        return after[i] if volume.array[0, 0, 0, 0] == -1000.0 and volume.array.max() < 500 else 0.4 + 0.2 * positive[i]

    volumes = [head(i) for i in after]
    for i, volume in enumerate(volumes):
        volume.array[0, 0, 31, 31] = i
    part = judged(ground(positive, volumes, look))
    # true side: negatives 0 (+.10) 2 (−.01) 4 (0) 6 (+.01); positives 1 (0) 3 (+.30) 5 (+.03) 7 (−.40)
    rows = {row[0]: row[1:5] for row in part.tables[0].rows}
    assert rows == {"all": (8, 3, 1, 4), "normal": (4, 1, 0, 3), "stroke": (4, 2, 1, 1)}
    assert part.tables[0].rows[0][6] == pytest.approx(binomtest(1, 4).pvalue)
    changed = of(part, "changed")
    assert changed.evidence == "The answer changes in 1 of 8 patients."
    assert (changed.verdict, np.isnan(changed.limit)) == ("cannot tell", True)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 0), (5, 2), (4, 4), (11, 2), (0, 9)])
def test_the_sign_test_is_the_binomial_test(first: int, second: int) -> None:
    wanted = binomtest(first, first + second).pvalue if first + second else 1.0
    assert sign_test(first, second) == pytest.approx(wanted)


def test_an_mr_has_no_skull_to_take_away() -> None:
    plain = [replace(bony(p, i), units="a.u.", modality="MR") for i, p in enumerate(POSITIVE[:4])]
    on = ground(POSITIVE[:4], plain, bone, "MR")
    part = judged(on)
    assert (part.findings, part.tables) == ((), ())
    assert "no CT with a brain enclosed by bone" in part.notes[0]
    assert not table(on, measure).filter(like="skull").size


def picture(positive: bool, i: int, lesion: bool = False) -> Volume:
    """A head as a picture in a brain window; where positive its bone is two pixels thicker."""
    volume = head(i, lesion=lesion)
    if positive:
        at = (np.arange(64) - 31.5) * 3.0
        r = np.hypot(at[:, None], at[None, :])
        volume.array[0][:, (r >= 68) & (r < 74)] = 1000.0
    shown = np.round(np.clip(volume.array[:, :1] / 80.0, 0.0, 1.0) * 255)
    return replace(
        volume, array=shown.astype(np.float32), units="a.u.", modality="", full_scale=255.0, affine=np.eye(4)
    )


def white(volume: Volume) -> float:
    """What a model says that looks at how much of a picture is white."""
    share = float((volume.array > 250).mean())
    return float(np.clip(20 * (share - 0.08), 0.02, 0.98)) if share else 0.5


def test_bone_is_taken_from_a_ct_picture_by_brightness_and_a_loss_there_is_no_failure() -> None:
    on = ground(POSITIVE, [picture(p, i) for i, p in enumerate(POSITIVE)], white)
    part = judged(on)
    lost = of(part, "roc_auc")
    assert lost.value == pytest.approx(0.5)
    assert (lost.interval[0] > lost.limit, lost.verdict) == (True, "cannot tell")
    assert "does not tell bone from blood" in lost.evidence
    assert "made black in 60 of 60 cases" in part.notes[0]
    hidden = [replace(picture(p, i), array=picture(p, i).array * 0.9) for i, p in enumerate(POSITIVE)]
    nothing = judged(ground(POSITIVE, hidden, white))  # bone is not white
    assert (nothing.findings, "no CT with a brain" in nothing.notes[0]) == ((), True)


def test_a_model_of_pictures_that_looks_at_the_lesion_passes_without_bone() -> None:
    def bright(volume: Volume) -> float:
        return float(np.clip((volume.array[0, 0, 29:35, 29:35].mean() - 110) / 150, 0.02, 0.98))

    part = judged(ground(POSITIVE, [picture(False, i, p) for i, p in enumerate(POSITIVE)], bright))
    assert (of(part, "roc_auc").value, of(part, "roc_auc").verdict) == (0.0, "pass")
    assert part.tables[0].rows[0][1:5] == (60, 0, 0, 60)


def test_pictures_of_another_modality_keep_their_skull() -> None:
    on = ground(POSITIVE[:4], [picture(p, i) for i, p in enumerate(POSITIVE[:4])], white, "MR")
    assert judged(on).findings == ()


def test_a_case_without_a_brain_is_left_out_and_refused_ones_are_said() -> None:
    volumes = [bony(p, i) for i, p in enumerate(POSITIVE)]
    volumes[4] = replace(volumes[4], array=np.full_like(volumes[4].array, -1000.0))
    on = ground(POSITIVE, volumes, bone)
    assert table(on, measure)["skull/stroke"].isna().tolist() == [i == 4 for i in range(N)]
    assert "of 59 patients" in of(judged(on), "changed").evidence
    looks = on.predictor
    assert isinstance(looks, Looks)
    looks.refuses = lambda volume: bool(volume.array.max() < 500)
    assert judged(on).notes == ("The model refuses every scan without a skull.",)


def test_each_limit_of_the_recipe_is_held() -> None:
    volumes = [bony(p, i) for i, p in enumerate(POSITIVE)]
    shown = table(ground(POSITIVE, volumes, bone), measure)

    def verdicts(**skull: Any) -> tuple[str, str]:
        part = CHECK.judge(ground(POSITIVE, volumes, bone, given=recipe(skull=skull)), shown)
        return of(part, "roc_auc").verdict, of(part, "changed").verdict

    assert verdicts() == ("fail", "cannot tell")
    assert verdicts(roc_auc=0.9) == ("pass", "cannot tell")
    assert verdicts(roc_auc=None, changed=0.01)[0] == "cannot tell"
    assert verdicts(changed=0.05)[1] == "fail"
    assert verdicts(changed=0.99)[1] == "pass"
