from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.tiny_bundle import FEATURES, SIZE, parts, recipe, weights

from insula.bundle.types import Baseline
from insula.core.errors import BundleError
from insula.infer import domain, suitable_statistics
from insula.infer.domain_fit import Cases, fit
from insula.infer.domain_scale import LEVEL, QUARTILE, names, of_case, ratios, scale


def looks(count: int, seed: int, level: float = 0.4) -> list[np.ndarray]:
    g = np.random.default_rng(seed)
    return [np.clip(g.normal(level, 0.1, (3, 1, SIZE, SIZE)), 0, 1).astype(np.float32) for _ in range(count)]


def cases(count: int, seed: int, patients: str = "p", inputs: int = 1) -> Cases:
    g = np.random.default_rng(seed)
    return Cases(
        g.normal(1.0, 0.3, (count * inputs, FEATURES)).astype(np.float32),
        np.repeat(np.arange(count), inputs),
        [f"{patients}{i}" for i in range(count)],
        {"ct": np.stack([suitable_statistics.of_bags([one]) for one in looks(count, seed)])},
    )


def baseline(train: Cases, val: Cases) -> Baseline:
    found = fit(train, val)
    base = parts(recipe(), weights(1, 2)).baseline
    return replace(base, **vars(found))


def test_the_middle_is_0_and_95_percent_lie_below_1() -> None:
    raw = np.random.default_rng(0).gamma(3.0, size=(199, 2))
    limits = scale(raw, 0.95)
    scaled = ratios(raw, limits)
    np.testing.assert_allclose(np.median(scaled, axis=0), 0.0, atol=1e-12)
    assert ((scaled < 1.0).sum(axis=0) == 189).all()  # the 190th of 199 is the limit: ⌈0.95 · 200⌉
    assert ((scaled <= 1.0).sum(axis=0) == 190).all()


def test_few_cases_are_held_to_their_largest_and_none_or_equal_ones_give_a_scale_all_the_same() -> None:
    assert scale(np.array([[1.0], [2.0], [4.0]]), 0.95).tolist() == [[2.0, 4.0]]
    assert scale(np.array([[np.nan], [np.nan]]), 0.95).tolist() == [[0.0, np.inf]]
    low, high = scale(np.full((9, 1), 3.0), 0.75)[0]
    assert low == 3.0 < high < 3.01


def test_a_scan_of_the_same_kind_is_near_and_others_are_far_by_the_part_that_differs() -> None:
    base = baseline(cases(80, 1), cases(60, 2, "v"))
    g = np.random.default_rng(3)
    same = g.normal(1.0, 0.3, (1, FEATURES)).astype(np.float32)
    share, near = of_case(same, {"ct": (looks(1, 4)[0],)}, base)
    assert set(near) == set(names(("ct",)))
    assert near["all"] < 1.5
    assert share < 1.0
    share, bright = of_case(same, {"ct": (looks(1, 4, 0.9)[0],)}, base)
    assert share == 1.0
    assert bright["all"] > 3.0
    assert bright["picture_ct"] == max(v for k, v in bright.items() if k != "all") > 3.0
    assert bright["features"] == near["features"]
    share, odd = of_case(-same, {"ct": (looks(1, 4)[0],)}, base)
    assert share == 1.0
    assert min(odd["features"], odd["neighbours"], odd["all"]) > 3.0
    assert odd["picture_ct"] == near["picture_ct"]


def test_about_five_percent_of_new_cases_of_the_same_kind_lie_beyond_1_and_hardly_one_beyond_2() -> None:
    base = baseline(cases(150, 1), cases(200, 2, "v"))
    new = cases(400, 5, "n")
    pictures = looks(400, 5)
    found = np.array([of_case(new.embeddings[i : i + 1], {"ct": (pictures[i],)}, base)[1]["all"] for i in range(400)])
    assert 0.02 <= (found > 1.0).mean() <= 0.10  # 5%, with the noise of 200 and of 400 cases
    assert (found > 2.0).mean() <= 0.01


def test_the_share_is_that_of_validation_cases_on_the_same_scale() -> None:
    base = baseline(cases(50, 1), cases(40, 2, "v"))
    val, pictures = cases(40, 2, "v"), looks(40, 2)
    shares, far = zip(
        *[of_case(val.embeddings[i : i + 1], {"ct": (pictures[i],)}, base) for i in range(40)], strict=True
    )
    found = [one["all"] for one in far]
    np.testing.assert_allclose(sorted(found), base.scaled, atol=1e-5)
    rank = np.argsort(np.argsort(found)) + 1
    np.testing.assert_allclose(np.array(shares) * 40, rank, atol=1.0)  # the last bit may put it below itself


def test_a_case_of_several_inputs_is_judged_by_its_middle_one() -> None:
    train = cases(50, 1)
    base = baseline(train, cases(40, 2, "v", inputs=3))
    x = np.random.default_rng(0).normal(1.0, 0.3, (5, FEATURES)).astype(np.float32)
    view = {"ct": (looks(1, 9)[0],)}
    one = of_case(x, view, base)[1]
    raw = np.median([domain.distance(row, base.embedding_mean, base.embedding_precision) for row in x])
    assert one["features"] == pytest.approx((raw - base.scale[0, 0]) / (base.scale[0, 1] - base.scale[0, 0]))
    odd = np.concatenate([x, -x[:2]])
    assert of_case(odd, view, base)[1]["features"] < 3.0


def test_validation_patients_that_were_trained_on_are_measured_without_themselves() -> None:
    train = cases(60, 1)
    found = fit(train, train)
    embeddings = train.embeddings
    own = [domain.neighbour_distance(embeddings[i : i + 1], found.neighbours) for i in range(60)]
    middle = found.scale[1, 0]
    assert middle > np.median(own)  # its own row would be the nearest
    apart = fit(cases(60, 1, "a"), train)
    assert apart.scale[1, 0] == pytest.approx(np.median(own), abs=1e-6)


def test_a_role_that_a_case_lacks_is_left_out() -> None:
    train, val = cases(40, 1), cases(30, 2, "v")
    nothing = np.full_like(train.looks["ct"], np.nan)
    nothing[:20] = train.looks["ct"][:20]
    two = replace(train, looks={"ct": train.looks["ct"], "mri": nothing})
    base = baseline(two, replace(val, looks={"ct": val.looks["ct"], "mri": val.looks["ct"]}))
    x = np.full((1, FEATURES), 1.0, np.float32)
    assert set(of_case(x, {"ct": (looks(1, 4)[0],)}, base)[1]) == {"features", "neighbours", "picture_ct", "all"}
    assert "picture_mri" in of_case(x, {"mri": (looks(1, 4)[0],)}, base)[1]


def test_a_bundle_without_a_scale_knows_the_features_alone() -> None:
    base = parts(recipe(), weights(1, 2)).baseline
    share, far = of_case(np.full((1, FEATURES), 0.5, np.float32), {"ct": (looks(1, 0)[0],)}, base)
    assert (share, far) == (0.0, {})


def test_a_bundle_that_describes_pictures_by_other_numbers_is_refused() -> None:
    base = baseline(cases(20, 1), cases(10, 2, "v"))
    other = replace(base, pictures={"ct": (np.zeros(9), np.eye(9))})
    with pytest.raises(BundleError, match="by 9 numbers"):
        of_case(np.full((1, FEATURES), 1.0, np.float32), {"ct": (looks(1, 0)[0],)}, other)


def test_few_validation_cases_refer_no_more_of_their_kind_than_many() -> None:
    """Raw distances of three parts that know nothing of each other, with heavy tails."""
    g = np.random.default_rng(0)
    beyond = []
    for _ in range(400):
        raw = g.gamma(2.0, size=(220, 3)) ** 1.5
        by_part = scale(raw[:20], QUARTILE)
        largest = ratios(raw, by_part).max(axis=1)
        together = scale(largest[:20, None], LEVEL)
        beyond.append((ratios(largest[20:, None], together) > 1.0).mean())
    assert np.mean(beyond) < 0.07
