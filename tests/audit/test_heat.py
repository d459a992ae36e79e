from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tests.audit.made_looks import ground, head, middle, recipe

from insula.audit.ground import Ground
from insula.audit.heat import CHECK, _frame, judge, measure
from insula.audit.part import Part
from insula.core.types import Heatmap, Volume
from insula.evaluate.region import of_scan
from insula.infer.explainer import Asked
from insula.metrics.intervals import Figure

N = 40
POSITIVE = [i % 2 == 1 for i in range(N)]
SIDE = 16


class Maps:
    """A predictor whose map of the positive class is given; prepared pictures have 16 × 16 pixels."""

    def __init__(self, held: dict[str, Any], heat: NDArray[np.float32]) -> None:
        self.held, self.heat = held, heat

    def read(self, case: Any, root: Path) -> Any:
        return self.held[case.key]

    def prepared_of(self, scans: Any) -> Any:
        return {"ct": (np.zeros((scans["ct"][0].array.shape[1], 1, SIDE, SIDE), np.float32),)}, ()

    def from_slices(self, views: Any, key: str, attributes: object = None) -> Any:
        return SimpleNamespace(heatmaps={"ct": heatmap(self.heat)})


def heatmap(heat: NDArray[np.float32]) -> Heatmap:
    """Column 0 has heat everywhere, column 1 the given heat (S, h, w)."""
    return Heatmap(np.stack([np.ones_like(heat), heat]), tuple(range(len(heat))), np.ones(len(heat), np.float32))


def on(heat: NDArray[np.float32], volume: Volume | None = None, **audit: Any) -> Ground:
    volumes = [volume or head(i, slices=len(heat)) for i in range(N)]
    made = ground(POSITIVE, volumes, middle, given=recipe(**audit))
    return replace(made, predictor=Maps(made.predictor.held, heat))  # type: ignore[attr-defined, arg-type]


def measured(made: Ground) -> dict[str, float]:
    case = made.cases[0]
    return dict(measure(made, case, made.predictor.read(case, made.root)))


def test_shares_are_those_of_hand_made_maps() -> None:
    heat = np.zeros((2, SIDE, SIDE), np.float32)
    heat[0, 8, 8], heat[0, 0, 0], heat[1, 15, 3] = 6.0, 3.0, 1.0  # brain, two at the border outside the head
    made = on(heat)
    found = measured(made)
    assert found["heat/outside"] == pytest.approx(0.4)
    assert found["heat/border"] == pytest.approx(0.4)
    region = of_scan(head(0, slices=2), made.bundle.recipe.input)
    assert region is not None
    assert found["heat/outside/even"] == pytest.approx(1 - region.mask.mean())
    assert found["heat/border/even"] == pytest.approx(1 - (12 / 16) ** 2)
    assert set(found) == {"heat/outside", "heat/border", "heat/outside/even", "heat/border/even"}


def test_heat_below_none_counts_as_none_and_a_map_without_heat_has_no_share() -> None:
    heat = np.full((2, SIDE, SIDE), -1.0, np.float32)
    assert np.isnan(measured(on(heat))["heat/outside"])
    heat[0, 8, 8] = 1.0
    assert measured(on(heat))["heat/outside"] == 0.0


def test_the_outer_tenth_is_a_frame() -> None:
    assert _frame((20, 30)).sum() == 600 - 16 * 24
    assert _frame((1, 1)).all()
    assert _frame((3, 3)).sum() == 8


def test_a_case_without_the_role_or_a_region_has_no_share_of_it() -> None:
    heat = np.ones((2, SIDE, SIDE), np.float32)
    made = on(heat)
    assert measure(made, made.cases[0], {}) == {}
    flat = replace(head(0, slices=2), array=np.full((1, 2, 64, 64), -1000.0, np.float32))
    found = measured(on(heat, flat))
    assert np.isnan(found["heat/outside"])
    assert found["heat/border"] == pytest.approx(found["heat/border/even"])


def test_maps_of_networks_drawn_anew_are_used_where_they_are_given_and_their_mean_counts() -> None:
    heat = np.zeros((2, SIDE, SIDE), np.float32)
    heat[:, 8, 8] = 1.0
    asked: list[Asked] = []

    def drawn(one: Asked) -> Any:
        asked.append(one)
        outer, inner = np.zeros_like(heat), heat
        outer[:, 0, 0] = 1.0
        # the column that was asked for alone
        return {
            name: {"ct": Heatmap(h[None], (0, 1), np.ones(2, np.float32))} for name, h in (("a", outer), ("b", inner))
        }

    made = replace(on(heat), drawn=drawn)
    found = measured(made)
    assert found["heat/outside/drawn"] == pytest.approx(0.5)
    assert found["heat/border/drawn"] == pytest.approx(0.5)
    assert (asked[0].column, asked[0].predictor) == (1, made.predictor)


def test_networks_are_drawn_for_so_many_patients_and_not_where_none_can_be_built() -> None:
    heat = np.ones((2, SIDE, SIDE), np.float32)
    calls: list[Asked] = []

    def drawn(one: Asked) -> Any:
        calls.append(one)
        return {}

    made = replace(on(heat, shortcuts={"most": 6}), drawn=drawn)
    for case in made.cases:
        found = measure(made, case, made.predictor.read(case, made.root))
        assert not np.isfinite(found.get("heat/outside/drawn", np.nan))
    assert len(calls) == 6


def judged(made: Ground, **columns: Any) -> Part:
    plain = {"case": [c.key for c in made.cases], "patient": [c.patient for c in made.cases]}
    return judge(made, pd.DataFrame(plain | {k.replace("_", "/"): v for k, v in columns.items()}))


def test_heat_beyond_that_of_chance_fails_and_less_passes() -> None:
    rng, made = np.random.default_rng(0), on(np.ones((1, SIDE, SIDE), np.float32))
    own, chance = rng.uniform(0.5, 0.7, N), rng.uniform(0.2, 0.4, N)
    part = judged(made, heat_outside=own, heat_outside_even=chance, heat_border=chance, heat_border_even=own)
    outside, border = part.findings
    assert (outside.verdict, border.verdict) == ("fail", "pass")
    assert outside.value == pytest.approx((own - chance).mean())
    share, other = (f"{100 * values.mean():.0f}%" for values in (own, chance))
    assert outside.evidence == (
        f"{share} of the heat lies outside the brain or head, against {other} in a map that is the same everywhere."
    )
    assert "No network could be drawn anew" in part.notes[0]


def test_drawn_maps_take_the_place_of_the_even_one_among_the_patients_that_have_them() -> None:
    made = on(np.ones((1, SIDE, SIDE), np.float32))
    own, even = np.linspace(0.5, 0.6, N), np.zeros(N)
    drawn = np.where(np.arange(N) < 20, np.linspace(0.45, 0.65, N), np.nan)
    part = judged(
        made, heat_outside=own, heat_outside_even=even, heat_outside_drawn=drawn,
        heat_border=own, heat_border_even=even, heat_border_drawn=drawn,
    )  # fmt: skip
    assert part.findings[0].value == pytest.approx((own - drawn)[:20].mean())
    assert part.findings[0].verdict == "pass"
    where, patients, share, _, _ = part.tables[0].rows[0]
    assert (where, patients) == ("outside the brain or head", 20)
    assert isinstance(share, Figure)
    assert share.value == pytest.approx(own[:20].mean())
    assert part.notes == ()


def test_nothing_measured_cannot_be_told() -> None:
    part = judged(on(np.ones((1, SIDE, SIDE), np.float32)))
    assert [f.verdict for f in part.findings] == ["cannot tell"] * 2
    assert part.findings[0].evidence.startswith("An unknown part of the heat")


def test_the_limit_of_the_recipe_is_held() -> None:
    own = np.linspace(0.5, 0.6, N)
    heat = np.ones((1, SIDE, SIDE), np.float32)
    for limit, wanted in ((0.1, "fail"), (0.9, "pass"), (None, "cannot tell")):
        made = on(heat, shortcuts={"outside": limit})
        part = judged(made, heat_outside=own, heat_outside_even=0 * own, heat_border=own, heat_border_even=0 * own)
        assert [f.verdict for f in part.findings] == [wanted] * 2
    assert CHECK.measure is measure
