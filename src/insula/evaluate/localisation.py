"""Does the heat lie on the lesion: the pointing game, the overlap, and where the heat lies, for each kind of lesion.

A mask says where a lesion is and not of which kind. So the map of one kind is held against the masks of cases that are
labelled with this kind alone; that of `any`, which every kind implies, against all masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.core.recipe import Input
from insula.core.types import Case, FloatArray, Heatmap
from insula.evaluate import region as regions
from insula.evaluate.facts import Bools, Facts
from insula.evaluate.outcome import LesionFigures, Localisation
from insula.evaluate.region import Region
from insula.metrics import maps, proportion
from insula.metrics.intervals import Figure
from insula.prep.run import prepare_mask
from insula.scans.sandbox import read, read_files

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
_MEASURED: Final = ("peak_inside", "iou", "heat_inside", "heat_near", "heat_outside")
_SHARED: Final = ("lesion_share", "region_share")
_NO_REGION: Final = "no brain or head was found"


@dataclass(frozen=True)
class Spot:
    """One map of one case: whether its peak lies in the lesion; overlap and shares of the heat; the lesion's and the
    region's share of the scan, the lesion counted to the region (NaN where no region is known).
    """

    peak_inside: bool
    overlap: maps.Overlap
    lesion_share: float
    region_share: float = float("nan")


@dataclass(frozen=True, eq=False)
class Ground:
    """What maps of a scan are held against, bool (S, H, W): the lesion (None without a mask, or an empty one), and the
    region.
    """

    lesion: Mask | None
    region: Region | None


def ground(case: Case, role: str, root: Path, section: Input, always: bool = False) -> Ground:
    """The ground of a case's first scan of a role; always: the region too where there is no lesion.

    Raises ScanError or UnsuitableScanError where scan or mask cannot be read or do not belong together.
    """
    scan = case.scans[role]
    if not scan.mask and not always:
        return Ground(None, None)
    picture = read_files([root / path for path in scan.paths], tiles=section.tiles)
    mask = prepare_mask(read(root / scan.mask), section, picture) if scan.mask else np.zeros(0, np.bool_)
    lesion = mask if mask.any() else None
    return Ground(lesion, regions.of_scan(picture, section) if lesion is not None or always else None)


def spot(heatmap: Heatmap, k: int, lesion: Mask, region: Mask | None = None) -> Spot:
    """Where class k's heat lies in relation to a lesion mask (S', H, W), and a region, on the prepared grid.

    The peak is the largest value of the map over all its slices, placed on the prepared grid by bilinear growth of that
    slice (the pointing game of Zhang et al., IJCV 2018); a map without heat points nowhere. Raises EvaluationError for
    a mask of other slices.
    """
    if max(heatmap.slices) >= len(lesion):
        raise EvaluationError(
            f"The mask has {len(lesion)} slices and the heat map shows slice {max(heatmap.slices) + 1}; "
            "give the mask that was drawn on this scan."
        )
    grown = grown_map(heatmap.array[k], lesion.shape[1:])
    inside = lesion[list(heatmap.slices)]
    around = None if region is None else region[list(heatmap.slices)]
    found = maps.overlap(grown, inside, around)
    s, row, column = peak(heatmap.array[k], grown)
    return Spot(
        bool(grown.max(initial=0.0) > 0) and bool(inside[s, row, column]),
        found,
        float(inside.mean()),
        float("nan") if around is None else float((around | inside).mean()),
    )


def grown_map(heat: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """The maps (S, h, w) of one class on a grid (S, H, W)."""
    return np.stack([grow(plane, size) for plane in heat])


def grow(heat: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """A map (h, w) on a grid (H, W) by bilinear interpolation, negative values cut off."""
    shape = (size[1], size[0])
    return cv2.resize(np.maximum(heat, 0), shape, interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def peak(heat: FloatArray, grown: FloatArray) -> tuple[int, int, int]:
    """Slice, row and column of the largest heat: the slice from the map itself, the place from the grown map.

    Interpolation leaves a small plateau around the largest cell; its middle is the peak.
    """
    s = int(heat.reshape(len(heat), -1).max(axis=1).argmax())
    top = grown[s] >= grown[s].max() - 1e-6 * max(float(grown[s].max()), 1e-12)
    _, labels = cv2.connectedComponents(top.astype(np.uint8), connectivity=4)
    rows, columns = np.nonzero(labels == labels.ravel()[top.ravel().argmax()])
    return s, round(float(rows.mean())), round(float(columns.mean()))


def measurable(y: Bools, called: Bools, facts: Facts) -> tuple[str, ...]:
    """The classes (K,) whose maps can be held against the mask of a case: present, called so, and what the mask shows.

    Of labels that stand together the mask is of one kind only where no other kind is present.
    """
    kind = sole(y, facts)
    return tuple(
        name
        for k, name in enumerate(facts.classes)
        if y[k] and called[k] and (name == kind or (_implied(facts) and name == facts.positive))
    )


def sole(y: Sequence[bool] | Bools, facts: Facts) -> str:
    """The one kind of lesion that a case is labelled with; "" for several or none."""
    kinds = [name for name, on in zip(facts.classes, y, strict=True) if on and name != _implied(facts)]
    return kinds[0] if len(kinds) == 1 else ""


def _implied(facts: Facts) -> str:
    """`any`, where it stands for all other labels."""
    return facts.positive if facts.kind == "multilabel" and facts.positive == "any" else ""


def columns(found: Mapping[str, Spot], region: str, facts: Facts) -> dict[str, Any]:
    """What the table of predictions holds of a case: `iou` and so on of the positive class, `iou_<class>` of others."""
    row = of_spot(next(iter(found.values()), None), region)
    for name in facts.classes:
        ending = "" if name == facts.positive else f"_{name}"
        row |= {f"{key}{ending}": value for key, value in _values(found.get(name)).items()}
    return row


def of_spot(one: Spot | None, region: str) -> dict[str, Any]:
    """The columns of one map; NaN where there is no spot."""
    row: dict[str, Any] = {"region": region if one else ""}
    row |= {name: float(getattr(one, name)) if one else float("nan") for name in _SHARED}
    return row | _values(one)


def _values(one: Spot | None) -> dict[str, float]:
    if one is None:
        return dict.fromkeys(_MEASURED, float("nan"))
    o = one.overlap
    return dict(zip(_MEASURED, (float(one.peak_inside), o.iou[maps.LEVEL], o.inside, o.near, o.outside), strict=True))


def summary(table: pd.DataFrame, facts: Facts) -> Localisation | None:
    """The figures over the rows that have a spot, with intervals over patients; None where there are none.

    First the positive class over all its rows; where it stands for several kinds, over those of each kind alone; then
    each other class.
    """
    if "peak_inside" not in table.columns:
        return None
    rows = table[table["peak_inside"].notna()]
    if len(rows) == 0:
        return None
    whole = of_rows(rows, facts.positive, "")
    found = [whole]
    if _implied(facts):
        kinds = np.array([sole(y, facts) for y in rows[[f"y_{c}" for c in facts.classes]].to_numpy(dtype=bool)])
        found += [of_rows(rows[kinds == c], facts.positive, c) for c in facts.classes if (kinds == c).any()]
    for name in facts.classes:
        if name == facts.positive or f"peak_inside_{name}" not in table.columns:
            continue
        own = table[table[f"peak_inside_{name}"].notna()]
        if len(own):
            found.append(of_rows(own, name, name, f"_{name}"))
    named = sorted({str(r) for r in rows["region"]} - {""}) if "region" in rows else []
    inside = whole.inside.value
    return Localisation(
        len(rows),
        whole.pointing.events,
        whole.pointing,
        inside,
        whole.chance["lesion"],
        maps.LEVEL,
        " or ".join(named),
        tuple(found),
    )


def of_rows(rows: pd.DataFrame, map_of: str, lesion: str, ending: str = "") -> LesionFigures:
    """The figures of the map of one class over rows of the table, each of which has its `peak_inside`."""
    patients = rows["patient"].to_numpy(dtype=str)
    hit = rows[f"peak_inside{ending}"].to_numpy(dtype=bool)

    def mean(name: str, nothing: str = maps.NO_HEAT) -> Figure:
        column = f"{name}{ending}"
        values = rows[column].to_numpy(dtype=float) if column in rows else np.full(len(rows), np.nan)
        return maps.mean(values, patients, nothing if column in rows else "not measured in this table")

    share = rows["lesion_share"].to_numpy(dtype=float)
    wide = rows["region_share"].to_numpy(dtype=float) if "region_share" in rows else np.full(len(rows), np.nan)
    return LesionFigures(
        map_of,
        lesion,
        len(rows),
        mean("iou"),
        proportion.figure(hit, np.ones(len(rows), dtype=bool), patients, "no true positive has a mask"),
        mean("heat_inside"),
        mean("heat_near", _NO_REGION),
        mean("heat_outside", _NO_REGION),
        {
            "lesion": _mean(share),
            "lesion_in_region": _mean(share / wide),
            "near": _mean(wide - share),
            "outside": _mean(1.0 - wide),
        },
    )


def _mean(values: NDArray[np.float64]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else float("nan")
