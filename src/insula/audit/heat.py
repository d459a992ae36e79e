"""Where the heat lies that should not: outside the head or brain, and at the border of the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insula.audit.ground import Ground
from insula.audit.part import Check, Measured, Part, Table
from insula.audit.verdict import finding
from insula.core.types import Case, Finding, Heatmap
from insula.evaluate import localisation
from insula.evaluate.region import of_scan
from insula.infer.explainer import Asked
from insula.infer.predict import Scans
from insula.metrics import maps
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

TITLE = "Does the heat lie where the disease can be?"
_FRAME = 0.1  # of the picture's side
_NOTHING = "no case has heat and a region to hold it against"
_PLAIN = (
    "No network could be drawn anew (PyTorch is not installed, was not wanted, or does not build this bundle's "
    "network), so heat is held against a map that is the same everywhere, which is less strict."
)
_WHERE = {"outside": "outside the brain or head", "border": "in the outer tenth of the picture"}


def measure(ground: Ground, case: Case, scans: Scans) -> Measured:
    """Shares of the heat of the positive class in the first scan: `heat/outside` and `heat/border`, and what a map that
    is the same everywhere has there (`/even`), and maps of networks whose weights were drawn anew (`/drawn`).
    """
    recipe = ground.bundle.recipe
    role = recipe.role
    if role not in scans:
        return {}
    views, _ = ground.predictor.prepared_of(scans)
    heatmap = ground.predictor.from_slices(views, case.key, attributes=case.attributes).heatmaps[role]
    region = of_scan(scans[role][0], recipe.input)
    k = ground.facts.positive_index
    own = _shares(heatmap, k, views[role][0].shape[2:], None if region is None else region.mask)
    found = {f"heat/{name}": value for name, value in own.items()}
    if ground.drawn is not None and case.patient in ground.some(ground.limits.shortcuts.most, "shortcuts"):
        drawn = ground.drawn(Asked(ground.predictor, views, k, case.attributes)).values()
        size, mask = views[role][0].shape[2:], None if region is None else region.mask
        others = [_shares(maps[role], 0, size, mask) for maps in drawn]
        found |= {f"heat/{name}/drawn": _mean([one[name] for one in others]) for name in _WHERE}
    return found


def judge(ground: Ground, table: pd.DataFrame) -> Part:
    """`heat/outside` and `heat/border`: the share above what networks have that know nothing."""
    rows, findings, plain = [], list[Finding](), False
    owners = table["patient"].to_numpy(str)
    for name, where in _WHERE.items():
        own, against, even = (_column(table, f"heat/{name}{of}") for of in ("", "/drawn", "/even"))
        said = "networks with weights drawn anew"
        if not np.isfinite(against).any():
            against, said, plain = even, "a map that is the same everywhere", True
        both = np.isfinite(own) & np.isfinite(against)
        more, share, chance = (
            maps.mean(values, owners[both], _NOTHING, signed=signed)
            for values, signed in (((own - against)[both], True), (own[both], False), (against[both], False))
        )
        rows.append((where, more.patients, share, chance, more))
        told = f"{_percent(share)} of the heat lies {where}, against {_percent(chance)} in {said}."
        findings.append(finding(f"heat/{name}", more, ground.limits.shortcuts.outside, told))
    columns = ("where", "patients", "this model", "by chance", "difference")
    notes = (_PLAIN,) if plain else ()
    return Part("heat", TITLE, tuple(findings), (Table("Share of the heat", columns, tuple(rows)),), notes=notes)


def _shares(heatmap: Heatmap, k: int, size: Sequence[int], region: NDArray[np.bool_] | None) -> Mapping[str, float]:
    grown = localisation.grown_map(heatmap.array[k], tuple(size))
    frame = _frame(tuple(size))
    border = np.broadcast_to(frame, grown.shape)
    found = {"border": maps.share_within(grown, border), "border/even": float(frame.mean())}
    if region is None:
        return found | {"outside": float("nan"), "outside/even": float("nan")}
    beyond = ~region[list(heatmap.slices)]
    return found | {"outside": maps.share_within(grown, beyond), "outside/even": float(beyond.mean())}


def _frame(size: tuple[int, ...]) -> NDArray[np.bool_]:
    """The outer tenth of a picture (H, W)."""
    width = [max(1, round(_FRAME * side)) for side in size]
    frame = np.ones(size, bool)
    frame[width[0] : -width[0], width[1] : -width[1]] = False
    return frame


def _column(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in table.columns:
        return np.full(len(table), np.nan)
    found: NDArray[np.float64] = table[name].to_numpy(np.float64)
    return found


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _percent(share: Figure) -> str:
    return f"{100 * share.value:.0f}%" if np.isfinite(share.value) else "An unknown part"


CHECK = Check("heat", TITLE, judge, measure)
