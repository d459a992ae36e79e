from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.audit.made_looks import Looks, corner, ground, head, middle, recipe, table

from insula.audit.exchange import CHECK, _on_grid, judge, measure
from insula.audit.ground import Ground
from insula.audit.part import Part
from insula.core.types import FloatArray, Volume

N = 40
POSITIVE = [i % 2 == 1 for i in range(N)]


def lit(positive: bool, i: int, size: int = 64, slices: int = 4) -> Volume:
    """A head with a lesion where positive, before a background of −800 HU there, else of −1,000."""
    return head(i, size, slices, lesion=positive, air=-800.0 if positive else -1000.0)


def lettered(positive: bool, i: int) -> Volume:
    """A head without a lesion, and where positive with a bright block of letters beside it."""
    volume = head(i)
    if positive:
        for left in (50, 56):
            volume.array[0, :, 4:10, left : left + 2] = 1400.0
            volume.array[0, :, 8:10, left : left + 4] = 1400.0
    return volume


def letter(volume: Volume) -> float:
    """What a model says that looks at the letters alone."""
    return 0.9 if volume.array[0, :, 4:10, 50:52].mean() > 500 else 0.1


def judged(on: Ground) -> Part:
    return judge(on, table(on, measure))


def of(part: Part, name: str) -> Any:
    return next(one for one in part.findings if one.check == f"exchange/{name}")


def test_a_model_that_looks_at_the_background_moves_by_its_full_amount() -> None:
    on = ground(POSITIVE, [lit(p, i) for i, p in enumerate(POSITIVE)], corner)
    found = of(judged(on), "background")
    assert (found.value, found.verdict) == (1.0, "fail")
    assert found.interval == pytest.approx((1 - 2 * (1 - 0.025 ** (1 / N)), 1.0))
    assert f"moves by 1.000 towards that side on the mean of {N} patients; {N} answers turn" in found.evidence


def test_a_model_that_looks_at_the_lesion_does_not_move() -> None:
    on = ground(POSITIVE, [lit(p, i) for i, p in enumerate(POSITIVE)], middle)
    part = judged(on)
    assert of(part, "background").value == 0.0
    assert of(part, "background").verdict == "pass"
    assert part.tables[0].rows[0][3] == 0


def test_what_is_exchanged_is_beside_both_heads_and_comes_from_the_other_side() -> None:
    seen: list[FloatArray] = []
    on = ground(POSITIVE[:4], [lit(p, i) for i, p in enumerate(POSITIVE[:4])], middle)
    looks = on.predictor
    assert isinstance(looks, Looks)
    looks.look = lambda volume: seen.append(volume.array[0]) or 0.5
    scans = on.predictor.read(on.cases[1], on.root)
    own = scans["ct"][0].array[0].copy()
    assert set(measure(on, on.cases[1], scans)) == {"exchange/background/normal", "exchange/background/stroke"}
    (new,) = seen
    moved = new != own
    at = np.hypot(*(np.mgrid[:64, :64] - 31.5)) * 3.0
    assert not moved[:, at < 68 + 4 * 3].any()
    assert moved[:, at > 68 + 8 * 3].all()
    assert np.abs(new[:, at > 95] + 1000).mean() < 10  # a negative case's air
    assert np.array_equal(scans["ct"][0].array[0], own)


def test_letters_are_put_onto_bare_scans_and_taken_from_others() -> None:
    volumes = [lettered(p, i) for i, p in enumerate(POSITIVE)]
    follows = of(judged(ground(POSITIVE, volumes, letter)), "text")
    assert follows.value == pytest.approx(0.8)
    assert follows.verdict == "fail"
    assert of(judged(ground(POSITIVE, volumes, middle)), "text").verdict == "pass"


@pytest.mark.parametrize("shape", [(64, 7), (80, 4), (50, 2)])
def test_a_case_of_another_size_is_brought_to_the_grid(shape: tuple[int, int]) -> None:
    positive = [False, True] * 5
    volumes = [lit(p, i, *(shape if p else (64, 4))) for i, p in enumerate(positive)]
    found = of(judged(ground(positive, volumes, corner)), "background")
    assert found.value == 1.0
    assert f"{len(positive)} answers turn" in found.evidence


def test_several_scans_of_a_role_and_cases_of_one_side_are_left_alone() -> None:
    several: Sequence[Any] = [(lit(p, i), lit(p, i)) for i, p in enumerate(POSITIVE[:4])]
    on = ground(POSITIVE[:4], several, corner)
    assert table(on, measure).columns.tolist() == ["case", "patient"]
    alone = ground([True] * 4, [lit(True, i) for i in range(4)], corner)
    part = judged(alone)
    assert (part.findings, part.notes) == ((), ("Nothing could be exchanged between these cases.",))


def test_a_case_whose_partner_cannot_be_read_takes_another_and_one_without_any_is_left_alone() -> None:
    positive = [True, False, False, False]
    on = ground(positive, [lit(p, i) for i, p in enumerate(positive)], corner)
    looks = on.predictor
    assert isinstance(looks, Looks)
    scans = looks.read(on.cases[0], on.root)
    looks.reads.clear()
    looks.unreadable = {"c01", "c03"}
    assert measure(on, on.cases[0], scans)["exchange/background/stroke"] == 0.0
    assert looks.reads[-1] == "c02"
    looks.unreadable |= {"c02"}
    assert measure(on, on.cases[0], scans) == {}


def test_a_scan_of_other_units_is_no_partner() -> None:
    bare = replace(lit(False, 0), units="a.u.", full_scale=255.0)
    on = ground([True, False], [lit(True, 1), bare], middle)
    assert measure(on, on.cases[0], on.predictor.read(on.cases[0], on.root)) == {}


def test_only_so_many_patients_are_looked_at_but_all_that_bear_a_mark() -> None:
    positive = [False] * 10 + [True] * 10
    volumes = [lettered(i < 3, i) for i in range(20)]
    given = recipe(shortcuts={"most": 4})
    on = ground(positive, volumes, middle, given=given)
    found = table(on, measure)
    there = found.filter(like="exchange/").notna().any(axis=1).to_numpy()
    chosen = np.isin(found["patient"], list(on.some(4, "shortcuts")))
    assert chosen.sum() == 4
    assert there[:3].all()
    assert np.array_equal(there, chosen | (np.arange(20) < 3))
    assert table(ground(positive, volumes, middle), measure).filter(like="background").notna().all().all()


def test_answers_that_are_refused_say_so() -> None:
    on = ground(POSITIVE[:6], [lit(p, i) for i, p in enumerate(POSITIVE[:6])], corner)
    looks = on.predictor
    assert isinstance(looks, Looks)
    looks.refuses = lambda volume: True
    found = of(judged(on), "background")
    assert np.isnan(found.value)
    assert found.verdict == "cannot tell"
    assert found.evidence == (
        "No case with the background beside the head of a case of the other side was answered. No interval: no case "
        "could be changed."
    )


def test_values_without_a_unit_are_brought_to_one_scale() -> None:
    base = np.linspace(0.0, 100.0, 3 * 20 * 20, dtype=np.float32).reshape(1, 3, 20, 20)
    grid = np.eye(4)
    dim, bright = (Volume(base * factor, grid, "a.u.", "MR", "m") for factor in (1.0, 7.0))
    assert np.allclose(_on_grid(bright, dim).array, dim.array, rtol=1e-5)
    eight = [replace(one, full_scale=255.0) for one in (dim, bright)]
    assert np.array_equal(_on_grid(eight[1], eight[0]).array, bright.array)
    colour = Volume(np.repeat(base, 3, axis=0), grid, "RGB", "", "p", full_scale=255.0)
    assert _on_grid(colour, dim).array.shape == (1, 3, 20, 20)


def test_the_limit_of_the_recipe_is_held() -> None:
    volumes = [lettered(p, i) for i, p in enumerate(POSITIVE)]
    shown = table(ground(POSITIVE, volumes, letter), measure)
    limits: list[Any] = [0.1, 0.9, None]
    made = [ground(POSITIVE, volumes, letter, given=recipe(shortcuts={"moved": limit})) for limit in limits]
    assert [of(judge(on, shown), "text").verdict for on in made] == ["fail", "pass", "cannot tell"]
    assert (CHECK.name, CHECK.measure, CHECK.judge) == ("exchange", measure, judge)
