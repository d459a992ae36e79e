from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.evaluate.scripted import Scripted, case, cohort

from insula.bundle.types import Bundle
from insula.core.errors import EvaluationError
from insula.core.types import Heatmap
from insula.evaluate.facts import Facts
from insula.evaluate.localisation import grow, measurable, sole, spot, summary
from insula.evaluate.run import evaluate
from insula.metrics import maps

FACTS = Facts("made", "Is there any?", "answer", "multiclass", ("normal", "stroke"), "stroke", {})
KINDS = Facts("made", "Of which kind?", "answer", "multilabel", ("any", "subdural", "epidural"), "any", {})


def heat(slices: tuple[int, ...], shape: tuple[int, int], *hot: tuple[int, int, int, float]) -> Heatmap:
    """Maps of two classes, of which the second has (map, row, column, value) cells; the first one's are elsewhere."""
    array = np.zeros((2, len(slices), *shape), np.float32)
    array[0, :, 0, 0] = 9.0
    for s, row, column, value in hot:
        array[1, s, row, column] = value
    return Heatmap(array, slices, np.ones(len(slices), np.float32))


def lesion(depth: int, rows: slice, columns: slice, on: int, size: tuple[int, int] = (16, 24)) -> np.ndarray:
    mask = np.zeros((depth, *size), dtype=bool)
    mask[on, rows, columns] = True
    return mask


@pytest.mark.parametrize("cell", [(0, 5), (3, 0), (1, 4), (2, 2), (3, 5)])
def test_the_peak_lies_in_the_cell_of_the_picture_that_it_was_seen_in(cell: tuple[int, int]) -> None:
    row, column = cell  # a map of 4 × 6 cells on 16 × 24 pixels: 4 × 4 each, so rows and columns cannot be mixed up
    made = heat((0, 1), (4, 6), (1, row, column, 2.0))
    inside = lesion(2, slice(4 * row, 4 * row + 4), slice(4 * column, 4 * column + 4), on=1)
    assert spot(made, 1, inside).peak_inside
    assert not spot(made, 1, ~inside).peak_inside
    assert not spot(made, 1, np.roll(inside, 1, axis=0)).peak_inside
    assert not spot(made, 0, inside).peak_inside


def test_the_peak_is_the_largest_of_all_slices() -> None:
    made = heat((0, 1, 2), (4, 6), (0, 1, 1, 2.0), (2, 2, 4, 3.0), (1, 0, 0, 2.9))
    assert spot(made, 1, lesion(3, slice(8, 12), slice(16, 20), on=2)).peak_inside
    assert not spot(made, 1, lesion(3, slice(4, 8), slice(4, 8), on=0)).peak_inside


def test_maps_of_some_slices_are_held_against_those_slices() -> None:
    made = heat((1, 3), (4, 6), (1, 2, 2, 1.0))
    got = spot(made, 1, lesion(5, slice(8, 12), slice(8, 12), on=3))
    assert got.peak_inside
    assert got.lesion_share == pytest.approx(16 / (2 * 16 * 24))


def test_the_share_of_heat_inside_a_mask_and_outside_make_one() -> None:
    made = heat((0,), (4, 6), (0, 1, 1, 1.0), (0, 2, 4, 3.0))
    left = lesion(1, slice(None), slice(0, 12), on=0)
    share = spot(made, 1, left).overlap.inside
    assert share + spot(made, 1, ~left).overlap.inside == pytest.approx(1.0)
    assert share == pytest.approx(0.25, abs=0.01)  # cells far from the border keep their heat on their side
    assert spot(made, 1, left).lesion_share == 0.5
    assert spot(made, 1, np.ones((1, 16, 24), dtype=bool)).overlap.inside == pytest.approx(1.0)


def test_the_region_takes_the_heat_that_is_not_on_the_lesion() -> None:
    made = heat((0, 2), (4, 6), (0, 1, 1, 1.0), (1, 2, 4, 3.0))
    mask = np.zeros((3, 16, 24), dtype=bool)
    mask[2, 8:12, 16:20] = True
    brain = np.zeros_like(mask)
    brain[:, :, 8:] = True
    got = spot(made, 1, mask, brain)
    grown = np.stack([grow(plane, (16, 24)) for plane in made.array[1]])
    assert got.overlap.inside == pytest.approx(grown[1, 8:12, 16:20].sum() / grown.sum())
    assert got.overlap.outside == pytest.approx(grown[:, :, :8].sum() / grown.sum())
    assert got.overlap.iou[0.5] == maps.overlap(grown, mask[[0, 2]], brain[[0, 2]]).iou[0.5]
    assert (got.lesion_share, got.region_share) == pytest.approx((16 / 768, 2 / 3))
    assert np.isnan(spot(made, 1, mask).region_share)


def test_negative_heat_is_no_heat_and_none_hits_nothing() -> None:
    everywhere = np.ones((1, 16, 24), dtype=bool)
    for made in (heat((0,), (4, 6)), heat((0,), (4, 6), (0, 1, 1, -5.0))):
        got = spot(made, 1, everywhere)
        assert (got.peak_inside, got.lesion_share, got.overlap.reason) == (False, 1.0, maps.NO_HEAT)
        assert np.isnan([got.overlap.inside, got.overlap.iou[0.5]]).all()
    assert grow(np.array([[-1.0, 2.0]], np.float32), (2, 4)).min() == 0.0


def test_a_mask_of_fewer_slices_is_refused() -> None:
    with pytest.raises(EvaluationError, match="mask has 2 slices and the heat map shows slice 4"):
        spot(heat((1, 3), (4, 6)), 1, np.ones((2, 16, 24), dtype=bool))


def spots(hits: list[float], patients: list[str]) -> pd.DataFrame:
    n = len(hits)
    return pd.DataFrame(
        {
            "patient": patients,
            "peak_inside": hits,
            "heat_inside": np.where(np.isnan(hits), np.nan, np.linspace(0, 1, n)),
            "lesion_share": np.where(np.isnan(hits), np.nan, 0.1),
        }
    )


def test_hits_are_counted_over_the_rows_that_have_a_mask() -> None:
    got = summary(spots([1.0, 0.0, np.nan, 1.0, np.nan], list("abcde")), FACTS)
    assert got is not None
    assert (got.hits, got.n, got.pointing.patients) == (2, 3, 3)
    assert got.pointing.value == pytest.approx(2 / 3)
    assert got.heat_inside == pytest.approx((0 + 0.25 + 0.75) / 3)
    assert got.chance == pytest.approx(0.1)
    assert summary(spots([np.nan], ["a"]), FACTS) is None
    assert summary(pd.DataFrame({"patient": ["a"]}), FACTS) is None


def test_a_table_of_an_earlier_version_has_no_overlap_and_says_so() -> None:
    got = summary(spots([1.0, 0.0, 1.0], list("abc")), FACTS)
    assert got is not None
    (one,) = got.lesions
    assert (one.map_of, one.lesion, one.n, one.pointing) == ("stroke", "", 3, got.pointing)
    assert np.isnan([one.iou.value, one.near.value, one.chance["near"]]).all()
    assert one.iou.reason == one.near.reason == "not measured in this table"
    assert got.region == ""


def test_a_mask_is_held_against_a_kind_only_where_no_other_is_there() -> None:
    on = np.array
    assert measurable(on([1, 1, 0], bool), on([1, 1, 1], bool), KINDS) == ("any", "subdural")
    assert measurable(on([1, 1, 1], bool), on([1, 1, 1], bool), KINDS) == ("any",)
    assert measurable(on([1, 1, 0], bool), on([0, 1, 0], bool), KINDS) == ("subdural",)
    assert measurable(on([1, 1, 0], bool), on([1, 0, 0], bool), KINDS) == ("any",)
    assert measurable(on([0, 0, 0], bool), on([1, 1, 1], bool), KINDS) == ()
    assert measurable(on([0, 1], bool), on([0, 1], bool), FACTS) == ("stroke",)
    assert [sole(on(y, bool), KINDS) for y in ([1, 0, 1], [1, 1, 1], [1, 0, 0])] == ["epidural", "", ""]


def test_each_kind_has_its_own_map_and_its_share_in_the_one_of_any() -> None:
    nan = np.nan
    table = pd.DataFrame(
        {
            "patient": list("abcdef"),
            "y_any": True,
            "y_subdural": [True, True, True, False, True, False],
            "y_epidural": [False, False, True, True, False, True],
            "region": ["brain"] * 5 + [""],
            "lesion_share": [0.1, 0.2, 0.3, 0.4, 0.5, nan],
            "region_share": [0.5, 0.5, 0.5, 0.5, 0.5, nan],
            "peak_inside": [1.0, 0.0, 1.0, 1.0, nan, nan],
            "iou": [0.5, 0.1, 0.9, 0.3, nan, nan],
            "heat_inside": [0.6, 0.2, 0.8, 0.4, nan, nan],
            "heat_near": [0.3, 0.5, 0.1, 0.4, nan, nan],
            "heat_outside": [0.1, 0.3, 0.1, 0.2, nan, nan],
            "peak_inside_subdural": [1.0, nan, nan, nan, 1.0, nan],
            "iou_subdural": [0.2, nan, nan, nan, 0.4, nan],
            "heat_inside_subdural": nan,
            "heat_near_subdural": nan,
            "heat_outside_subdural": nan,
        }
    )
    got = summary(table, KINDS)
    assert got is not None
    assert got.region == "brain"
    shown = [(one.map_of, one.lesion, one.n, round(one.iou.value, 3), one.pointing.events) for one in got.lesions]
    assert shown == [
        ("any", "", 4, 0.45, 3), ("any", "subdural", 2, 0.3, 1), ("any", "epidural", 1, 0.3, 1),
        ("subdural", "subdural", 2, 0.3, 2),
    ]  # fmt: skip
    assert got.lesions[0].chance == pytest.approx(
        {"lesion": 0.25, "lesion_in_region": 0.5, "near": 0.25, "outside": 0.5}
    )
    assert got.lesions[3].inside.reason == maps.NO_HEAT
    assert got.lesions[3].chance["lesion"] == pytest.approx(0.3)


def test_many_scans_of_few_patients_leave_the_pointing_game_uncertain() -> None:
    hits = [1.0] * 50 + [0.0] * 50
    few = summary(spots(hits, [f"p{i // 25}" for i in range(100)]), FACTS)
    many = summary(spots(hits, [f"p{i}" for i in range(100)]), FACTS)
    sure = summary(spots([1.0] * 100, [f"p{i // 25}" for i in range(100)]), FACTS)
    assert few is not None
    assert many is not None
    assert sure is not None
    assert few.pointing.interval is not None
    assert few.pointing.interval[1] - few.pointing.interval[0] > 0.85
    assert many.pointing.interval == pytest.approx((0.4, 0.6), abs=0.02)
    assert sure.pointing.interval == pytest.approx((0.5101, 1.0), abs=5e-5)  # Wilson's for 4 of 4 patients


def test_a_report_plays_the_game_on_true_positives_with_a_mask(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    corner = np.zeros((2, 32, 32), np.uint8)
    corner[1, 24:, :8] = 1  # prepared to 16 × 16: the lower left cell of a map of 4 × 4
    np.save(tmp_path / "corner.npy", corner)
    np.save(tmp_path / "else.npy", corner[:, :, ::-1].copy())
    np.save(tmp_path / "thin.npy", corner[1:])
    for key in ("hit", "miss", "missed", "wrong", "well"):
        np.savez(tmp_path / f"{key}.npz", corner.astype(np.float32))
    map_ = np.zeros((2, 4, 4), np.float32)
    map_[1, 3, 0] = 1.0
    made = cohort(
        case("hit", "q1", mask="corner.npy"),
        case("miss", "q2", mask="else.npy"),
        case("missed", "q3", mask="corner.npy"),
        case("bare", "q4"),
        case("wrong", "q5", mask="thin.npy"),
        case("well", "q6", "normal", mask="corner.npy"),
        root=str(tmp_path),
    )
    script = {"hit": 0.9, "miss": 0.9, "missed": 0.2, "bare": 0.8, "wrong": 0.9, "well": 0.9}
    report = evaluate(tiny_bundle(), made, predictor=Scripted(script, heat=map_), replicates=50)
    table = report.table.set_index("case")
    assert table["peak_inside"].dropna().to_dict() == {"hit": 1.0, "miss": 0.0}
    inside = table["heat_inside"].dropna().to_dict()
    assert inside["hit"] > 0.6
    assert inside["miss"] == 0.0
    assert table["lesion_share"].dropna().to_dict() == pytest.approx({"hit": 1 / 32, "miss": 1 / 32})
    assert table["iou"].dropna().keys().tolist() == ["hit", "miss"]
    assert table.loc["hit", "iou"] == pytest.approx(maps.overlap(np.stack([grow(m, (16, 16)) for m in map_]),
        np.kron(corner[:, ::8, ::8] > 0, np.ones((1, 4, 4), bool))).iou[0.5])  # fmt: skip
    assert report.localisation is not None
    assert (report.localisation.hits, report.localisation.n) == (1, 2)
    assert [one.map_of for one in report.localisation.lesions] == ["stroke"]
    assert report.localisation.lesions[0].iou.value == pytest.approx(table["iou"].mean())
    assert [note for note in report.notes if "lesion mask could not be used" in note and "1 × 32 × 32" in note]
    assert report.failures == ()
