"""The heat maps of a model judged: where they lie, whether covering the hot parts counts, whether they can fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from insula.evaluate import localisation
from insula.evaluate.curves import Curves
from insula.evaluate.facts import Facts
from insula.evaluate.localisation import Spot
from insula.evaluate.outcome import LIMITS, Failure, LesionFigures, plain
from insula.metrics import maps
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
NO_LESION: Final = "no true positive has a mask"
LEVEL_MAP: Final = "one of the two maps is the same everywhere"
SHUFFLED: Final = "shuffled labels"


@dataclass(frozen=True)
class Against:
    """A map by another network of the same case: how alike the real map's ranks are, and where it lies itself."""

    similarity: float
    spot: Spot | None


@dataclass(frozen=True)
class MapCase:
    """One case in which the class is called present. lesion: the one kind that it is labelled with, where it has one.

    spot: None where it is no true positive with a mask. others: name of a network → its map against the real one.
    within: share of the heat in the region (`brain` or `head`), which is that share of the scan.
    """

    case: str
    patient: str
    labels: tuple[str, ...]
    lesion: str
    probability: float
    curves: Curves
    spot: Spot | None
    region: str
    others: Mapping[str, Against] = field(default_factory=dict)
    within: float = float("nan")
    region_share: float = float("nan")


@dataclass(frozen=True)
class Effect:
    """Deletion or insertion over the cases: mean curves with 95% bands, areas, and what the heat's order gains.

    heat, random: means at `shares`; bands: low and high ends of both. gain: how much better the area is than that of a
    random order, positive when it is (a smaller area of deletion, a larger one of insertion).
    """

    shares: tuple[float, ...]
    heat: tuple[float, ...]
    random: tuple[float, ...]
    band: tuple[tuple[float, ...], tuple[float, ...]]
    band_random: tuple[tuple[float, ...], tuple[float, ...]]
    area: Figure
    area_random: Figure
    gain: Figure


@dataclass(frozen=True)
class Check:
    """The maps of a network that does not know the question: drawn anew, in part or whole, or taught shuffled labels.

    similarity: mean rank correlation with the real maps. flat: cases in which one of both is the same everywhere, which
    has none. figures: where its maps lie, over the cases that `MapsReport.lesions` rests on.
    """

    name: str
    similarity: Figure
    flat: int
    figures: LesionFigures | None


@dataclass(frozen=True)
class Chosen:
    """The level with the largest mean overlap on validation cases, and the overlap at it on those judged here."""

    level: float
    cases: int
    iou: Figure


@dataclass(frozen=True)
class MapsReport:
    """All figures of the maps of one class. lesions: of all true positives with a mask, then of each kind alone.

    within: share of the heat in the brain or head, over all cases where one was found; by chance `within_chance`.

    cascade: parts of the network drawn anew, from the heads down. random: networks drawn whole. shuffled: the network
    trained on shuffled labels. None or empty where it was not asked for or cannot be had, which `notes` say.
    """

    facts: Mapping[str, Any]
    lesions: tuple[LesionFigures, ...]
    within: Figure
    within_chance: float
    chosen: Chosen | None
    deletion: Effect
    insertion: Effect
    ends: tuple[Figure, Figure]
    cascade: tuple[Check, ...]
    random: tuple[Check, ...]
    shuffled: Check | None
    findings: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    cases: tuple[MapCase, ...] = field(repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain JSON data, without the cases, which stand in the table."""
        names = [f for f in self.__dataclass_fields__ if f != "cases"]
        return {"limits": LIMITS, **{name: plain(getattr(self, name)) for name in names}}


def table(cases: Sequence[MapCase]) -> pd.DataFrame:
    """One row a case: areas, where the heat lies (columns as in the table of predictions), likeness to other maps."""
    import pandas as pd

    rows = []
    for one in cases:
        row: dict[str, Any] = {"case": one.case, "patient": one.patient, "labels": ";".join(one.labels)}
        row |= {"lesion": one.lesion, "probability": one.probability} | one.curves.areas()
        row |= localisation.of_spot(one.spot, one.region)
        row |= {"region": one.region, "region_share": one.region_share, "heat_within": one.within}
        for name, other in one.others.items():
            key = name.replace(" ", "_").replace(",", "")
            row |= {f"similarity_{key}": other.similarity}
            row |= {f"iou_{key}": other.spot.overlap.iou[maps.LEVEL] if other.spot else float("nan")}
        rows.append(row)
    return pd.DataFrame(rows)


def lesions_of(cases: Sequence[MapCase], map_of: str, facts: Facts, network: str = "") -> tuple[LesionFigures, ...]:
    """Where the maps lie, over all true positives with a mask and, where there are several, by kind.

    network: the maps of this other network on the same cases; the real ones where it is empty.
    """
    rows = []
    for one in cases:
        spot = one.others[network].spot if network and network in one.others else one.spot
        if one.spot is not None and spot is not None:
            rows.append({"patient": one.patient, "lesion": one.lesion} | localisation.of_spot(spot, one.region))
    if not rows:
        return ()
    import pandas as pd

    held = pd.DataFrame(rows)
    kinds = [name for name in facts.classes if (held["lesion"] == name).any()]
    found = [localisation.of_rows(held, map_of, "")]
    if len(kinds) > 1 or (kinds and len(held) > (held["lesion"] == kinds[0]).sum()):
        found += [localisation.of_rows(held[held["lesion"] == name], map_of, name) for name in kinds]
    return tuple(found)


def effect(cases: Sequence[MapCase], name: str) -> Effect:
    """`deletion` or `insertion` over the cases."""
    patients = [one.patient for one in cases]
    own = np.stack([getattr(one.curves, name) for one in cases])
    lot = np.stack([getattr(one.curves, f"{name}_random") for one in cases])
    shares = cases[0].curves.shares
    areas = np.array([[maps.area(shares, curve) for curve in rows] for rows in (own, lot)])
    better = areas[0] - areas[1] if name == "insertion" else areas[1] - areas[0]
    mean, band = _curve(own, patients)
    mean_lot, band_lot = _curve(lot, patients)
    return Effect(
        tuple(shares.tolist()),
        mean,
        mean_lot,
        band,
        band_lot,
        maps.mean(areas[0], patients, maps.NO_HEAT),
        maps.mean(areas[1], patients, maps.NO_HEAT),
        maps.mean(better, patients, maps.NO_HEAT, signed=True),
    )


def _curve(
    rows: Floats, patients: Sequence[str]
) -> tuple[tuple[float, ...], tuple[tuple[float, ...], tuple[float, ...]]]:
    """Mean at each share with its interval; where there is none, both ends are the mean."""
    points = [maps.mean(column, patients, maps.NO_HEAT) for column in rows.T]
    ends = [p.interval or (p.value, p.value) for p in points]
    return tuple(p.value for p in points), (tuple(e[0] for e in ends), tuple(e[1] for e in ends))


def check(cases: Sequence[MapCase], name: str, map_of: str, facts: Facts) -> Check:
    """What a network of this name does, over the cases."""
    held = [one for one in cases if name in one.others]
    values = np.array([one.others[name].similarity for one in held])
    found = lesions_of(held, map_of, facts, name)
    return Check(
        name,
        maps.mean(values, [one.patient for one in held], LEVEL_MAP, signed=True),
        int((~np.isfinite(values)).sum()),
        found[0] if found else None,
    )


def alike(cases: Sequence[MapCase], networks: Sequence[str]) -> Figure:
    """Mean rank correlation with the maps of those networks, over networks first, then over cases."""
    values, patients = [], []
    for one in cases:
        known = [v for n in networks if n in one.others and np.isfinite(v := one.others[n].similarity)]
        if known:
            values.append(float(np.mean(known)))
            patients.append(one.patient)
    return maps.mean(np.array(values), patients, LEVEL_MAP, signed=True)


def chosen(validation: Sequence[tuple[str, Spot]], cases: Sequence[MapCase]) -> Chosen | None:
    """The level by validation spots (patient, spot); None where there is none, or none to judge."""
    there = [spot for _, spot in validation if np.isfinite(spot.overlap.inside)]
    judged = [(one.patient, one.spot) for one in cases if one.spot is not None]
    if not there or not judged:
        return None
    best = max(maps.LEVELS, key=lambda level: float(np.mean([spot.overlap.iou[level] for spot in there])))
    values = [spot.overlap.iou[best] for _, spot in judged]
    return Chosen(best, len(there), maps.mean(values, [patient for patient, _ in judged], maps.NO_HEAT))


def inside_gain(cases: Sequence[MapCase], networks: Sequence[str]) -> Figure:
    """How much more of the heat lies in the lesion than of those networks' heat, mean over the same cases."""
    values, patients = [], []
    for one in cases:
        others = [o.spot.overlap.inside for n in networks if (o := one.others.get(n)) and o.spot]
        if one.spot is not None and others:
            # a network without heat has none in the lesion
            values.append(one.spot.overlap.inside - float(np.mean(np.nan_to_num(others))))
            patients.append(one.patient)
    return maps.mean(np.array(values), patients, NO_LESION, signed=True)


def within(cases: Sequence[MapCase]) -> tuple[Figure, float]:
    """The share of the heat in the region, and the region's mean share of the scan, over cases that have one."""
    held = [one for one in cases if one.region]
    found = maps.mean([one.within for one in held], [one.patient for one in held], "no brain or head was found")
    return found, float(np.mean([one.region_share for one in held])) if held else float("nan")
