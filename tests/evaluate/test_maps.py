"""From judged cases to figures and words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insula.evaluate import maps as judged
from insula.evaluate.curves import Curves
from insula.evaluate.facts import Facts
from insula.evaluate.localisation import Spot
from insula.evaluate.maps import Against, MapCase
from insula.evaluate.maps_findings import HARDLY, findings, still_alike
from insula.metrics import maps

FACTS = Facts("made", "Of which kind?", "answer", "multilabel", ("any", "subdural", "epidural"), "any", {})
HEAT = np.array([[0.0, 1.0, 4.0, 2.0]])
MASK = np.array([[False, False, True, True]])
SHARES = maps.shares(4)
ENDS = maps.mean([0.9, 0.8, 0.7], list("abc"), ""), maps.mean([0.1, 0.2, 0.3], list("abc"), "")


def spot(heat: np.ndarray = HEAT, hit: bool = True) -> Spot:
    return Spot(hit, maps.overlap(heat, MASK, np.ones_like(MASK)), 0.5, 1.0)


def case(i: int, gain: float = 0.2, own: Spot | None = None, **others: Against) -> MapCase:
    line = 0.7 - 0.3 * SHARES
    curves = Curves(SHARES, line - gain, line + gain, line, line)
    kind = ("subdural", "epidural")[i % 2]
    where = ("brain", others, 0.6 + 0.01 * i, 0.4) if own else ("", others)
    return MapCase(f"c{i}", f"p{i}", ("any", kind), kind, 0.9, curves, own, *where)


def test_the_gain_is_towards_the_better_side_of_both_curves() -> None:
    cases = [case(i, 0.1 + 0.02 * i) for i in range(8)]
    for name in ("deletion", "insertion"):
        found = judged.effect(cases, name)
        assert found.gain.value == pytest.approx(0.17)
        assert found.gain.interval is not None
        assert found.gain.interval[0] > 0
        assert found.area_random.value == pytest.approx(0.55)
        assert found.shares == tuple(SHARES)
        assert found.band[0][0] < found.heat[0] < found.band[1][0]
        assert found.band_random[0] == found.random  # all the same: the band has no width
    assert judged.effect(cases, "deletion").area.value == pytest.approx(0.55 - 0.17, abs=0.01)


def test_a_case_without_heat_is_left_out_of_its_curve_alone() -> None:
    bare = case(9)
    flat = replace(bare, curves=replace(bare.curves, deletion=np.full(5, np.nan), insertion=np.full(5, np.nan)))
    found = judged.effect([*(case(i, 0.1 + 0.01 * i) for i in range(4)), flat], "deletion")
    assert (found.area.n, found.gain.n, found.area_random.n) == (4, 4, 5)


def test_figures_by_kind_are_made_where_there_is_more_than_one() -> None:
    cases = [case(0, own=spot()), case(1, own=spot(hit=False)), case(2, own=spot()), case(3)]
    found = judged.lesions_of(cases, "any", FACTS)
    assert [(one.map_of, one.lesion, one.n, one.pointing.events) for one in found] == [
        ("any", "", 3, 2), ("any", "subdural", 2, 2), ("any", "epidural", 1, 0),
    ]  # fmt: skip
    assert len(judged.lesions_of([cases[0], cases[2]], "subdural", FACTS)) == 1
    assert judged.lesions_of([cases[3]], "any", FACTS) == ()


def test_a_network_is_judged_on_the_cases_that_the_real_maps_are_judged_on() -> None:
    off = spot(np.array([[4.0, 2.0, 1.0, 0.0]]), hit=False)
    cases = [case(i, own=spot(), other=Against(0.1 * i - 0.2, off)) for i in range(5)]
    cases += [case(5, other=Against(float("nan"), None)), case(6)]
    found = judged.check(cases, "other", "any", FACTS)
    assert (found.similarity.value, found.similarity.n, found.flat) == pytest.approx((0.0, 5, 1))
    assert found.figures is not None
    assert (found.figures.n, found.figures.pointing.events) == (5, 0)
    assert found.figures.inside.value == pytest.approx(1 / 7)
    gained = judged.inside_gain(cases, ["other", "absent"])
    assert (gained.value, gained.n) == pytest.approx((6 / 7 - 1 / 7, 5))


def test_likeness_is_the_mean_over_networks_and_then_over_cases() -> None:
    others = [{"a": Against(0.2 * i, None), "b": Against(-0.1, None)} for i in range(4)]
    others[3] = {"a": Against(float("nan"), None), "b": Against(0.5, None)}
    found = judged.alike([replace(case(i), others=one) for i, one in enumerate(others)], ["a", "b", "c"])
    assert found.value == pytest.approx(np.mean([-0.05, 0.05, 0.15, 0.5]))
    assert judged.alike([case(0)], ["a"]).reason == judged.LEVEL_MAP


def test_a_network_without_heat_has_none_in_the_lesion() -> None:
    cases = [case(i, own=spot(), other=Against(float("nan"), spot(np.zeros((1, 4)), hit=False))) for i in range(3)]
    assert judged.inside_gain(cases, ["other"]).value == pytest.approx(6 / 7)
    assert judged.check(cases, "other", "any", FACTS).similarity.reason == judged.LEVEL_MAP


def test_the_heat_in_the_head_is_held_against_the_heads_share_of_the_picture() -> None:
    cases = [*(case(i, own=spot()) for i in range(4)), case(9)]
    share, chance = judged.within(cases)
    assert (share.value, share.n, chance) == pytest.approx((0.615, 4, 0.4))
    off = [replace(one, within=0.3 + 0.1 * i) for i, one in enumerate(cases[:4])]
    effects = judged.effect(off, "deletion"), judged.effect(off, "insertion")
    nothing = judged.inside_gain(off, [])
    for held, warned in ((off, True), (cases, False)):
        _, bad = findings(judged.within(held), ENDS, *effects, nothing, nothing, None)
        assert any("No more of the heat lies in the head than by chance (0.40)" in text for text in bad) == warned
    assert judged.within([case(9)])[0].reason == "no brain or head was found"


def test_a_cover_that_hides_nothing_is_said_in_place_of_the_curves() -> None:
    cases = [case(i, 0.1 + 0.02 * i) for i in range(6)]
    effects = judged.effect(cases, "deletion"), judged.effect(cases, "insertion")
    nothing = judged.inside_gain(cases, [])
    good, bad = findings(judged.within(cases), (ENDS[0], ENDS[0]), *effects, nothing, nothing, None)
    assert good == ()
    assert len(bad) == 1
    assert "does not take the answer away: the probability is 0.80 (95% interval" in bad[0]
    assert len(findings(judged.within(cases), ENDS, *effects, nothing, nothing, None)[0]) == 2


def test_the_level_is_that_of_the_largest_mean_overlap() -> None:
    cases = [case(i, own=spot()) for i in range(3)]
    validation = [("v", spot(np.array([[1.0, 0.2, 4.0, 1.2]])))]
    found = judged.chosen(validation, cases)
    assert found is not None
    assert (found.level, found.cases) == (0.3, 1)  # 0.3 of 4 is 1.2: both cells of the lesion and no other
    assert found.iou.value == pytest.approx(maps.overlap(HEAT, MASK).iou[0.3])
    assert judged.chosen([], cases) is None
    assert judged.chosen([("v", spot(np.zeros((1, 4))))], cases) is None


def test_the_words_follow_the_intervals() -> None:
    sure = [case(i, 0.2 + 0.01 * i, own=spot(), other=Against(0.02 * i, spot(HEAT[:, ::-1]))) for i in range(6)]
    unsure = [case(i, 0.3 * (-1) ** i, own=spot(), other=Against(0.9 - 0.01 * i, spot())) for i in range(6)]
    told = []
    for cases in (sure, unsure):
        check = judged.check(cases, "other", "any", FACTS)
        gained = judged.inside_gain(cases, ["other"])
        effects = judged.effect(cases, "deletion"), judged.effect(cases, "insertion")
        told.append(findings(judged.within(cases), ENDS, *effects, gained, judged.alike(cases, ["other"]), check))
    (good, none), (nothing, bad) = told
    assert (len(good), none, nothing, len(bad)) == (5, (), (), 5)
    assert "the probability falls sooner than in a random order: the area gains 0.23 (95% interval" in good[0]
    assert "more of its heat in the lesion" in good[2]
    assert "depend on what the network learnt: rank correlation with the maps of networks whose" in good[3]
    assert "may hardly depend on the labels" in bad[4]
    assert not [text for text in (*good, *bad) if "explain" in text]


def stage(name: str, values: list[float]) -> judged.Check:
    rows = [replace(case(i), others={name: Against(v, None)}) for i, v in enumerate(values)]
    return judged.check(rows, name, "any", FACTS)


def test_each_stage_whose_maps_remain_alike_is_named_against_the_method() -> None:
    cases = [case(i, 0.2 + 0.01 * i) for i in range(6)]
    effects = judged.effect(cases, "deletion"), judged.effect(cases, "insertion")
    nothing = judged.inside_gain(cases, [])
    cascade = [
        stage("heads", [0.90, 0.89, 0.91, 0.88, 0.90]),
        stage("block 3", [0.62, 0.30, 0.70, 0.45, 0.58]),
        stage("block 2", [0.10, 0.20, 0.30, 0.15, 0.20]),
        stage("block 1", [-0.9, -0.8, -0.9, -0.85, -0.9]),
        stage("stem", [float("nan")] * 5),
    ]
    _, before = findings(judged.within(cases), ENDS, *effects, nothing, nothing, None)
    _, bad = findings(judged.within(cases), ENDS, *effects, nothing, nothing, None, cascade)
    assert bad[: len(before)] == before
    heads, block = bad[len(before) :]
    assert heads.startswith(
        "With the weights of 'heads' alone drawn anew the maps remain alike: rank correlation with "
    )
    assert "0.90 (95% interval 0.8" in heads
    assert heads.endswith("What the score makes of the features hardly counts in them.")
    assert block.startswith("With the weights of 'block 3' and all above it drawn anew the maps may remain alike: ")
    assert still_alike(cascade[2:]) == []


def test_the_limit_is_where_cells_keep_their_order_twice_as_often_as_not() -> None:
    """Of normal values whose rank correlation is the limit: the share of pairs in the same order."""
    r = 2 * np.sin(np.pi * HARDLY / 6)  # Pearson's correlation behind Spearman's (Kruskal 1958)
    draw = np.random.default_rng(0).multivariate_normal([0, 0], [[1, r], [r, 1]], (20_000, 2))
    same = float(((draw[:, 0, 0] - draw[:, 1, 0]) * (draw[:, 0, 1] - draw[:, 1, 1]) > 0).mean())
    assert same / (1 - same) == pytest.approx(2.0, rel=0.1)
