"""A store of embeddings looked at as a whole: maps, what they tell apart, and what lies away from all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.errors import EvaluationError
from insula.evaluate import feature_groups as groups
from insula.evaluate import feature_maps as maps
from insula.evaluate import outlying, separability
from insula.evaluate.feature_groups import Grouping
from insula.evaluate.feature_maps import Plane
from insula.evaluate.outlying import Outlying
from insula.evaluate.separability import Separated
from insula.infer.feature_store import Store
from insula.infer.similar import directions

MOST = 20_000
JUDGED = 2000
COLUMNS = 24
CLASSES = "class"
CHANCE = 0.05


@dataclass(frozen=True)
class Asked:
    """What is wanted: which maps and how, the largest numbers of points and of judged cases, replicates, one seed."""

    maps: tuple[str, ...] = maps.METHODS
    perplexity: float = 30.0
    neighbours: int = 15
    most: int = MOST
    judged: int = JUDGED
    replicates: int = 2000
    shuffles: int = separability.SHUFFLES
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Features:
    """What was found. rows (m,): of the store, those on the maps; outlying is of them too.

    planes: the maps; missing: why one was not made. judged: how many cases the figures rest on; said: what has to be
    said of them. separated: the class first, then other columns; why: column → why it has no figures. findings: what
    follows, in words; warn: which of them are warnings.
    """

    store: Store
    asked: Asked
    rows: NDArray[np.intp]
    planes: tuple[Plane, ...]
    missing: dict[str, str]
    outlying: Outlying
    judged: int
    said: str
    separated: tuple[Separated, ...]
    why: dict[str, str]
    findings: tuple[str, ...]
    warn: tuple[bool, ...]

    def to_dict(self) -> dict[str, Any]:
        """Figures and findings as plain values for JSON: None for what is not defined."""
        case = self.store.index["case"]
        far = self.outlying
        return {
            "bundle": self.store.facts["bundle"],
            "cases": len(self.store),
            "shown": len(self.rows),
            "judged": self.judged,
            "note": self.said,
            "maps": [
                {"name": p.name, "how": p.said, "trustworthiness": None if np.isnan(p.kept) else round(p.kept, 4)}
                for p in self.planes
            ],
            "missing_maps": self.missing,
            "separability": [_plain(asdict(one)) for one in self.separated],
            "without_figures": self.why,
            "findings": list(self.findings),
            "outliers": [
                {
                    "case": case[self.rows[i]],
                    "neighbours": _plain(float(far.neighbours[i])),
                    "mahalanobis": _plain(float(far.mahalanobis[i])),
                }
                for i in far.order[:24].tolist()
            ],
        }


def look(store: Store, asked: Asked, step: Callable[[str], None] = lambda said: None) -> Features:
    """Everything that the page of a store shows. step: told what is begun.

    Raises EvaluationError for fewer than three cases.
    """
    if len(store) < 3:
        raise EvaluationError(f"The store holds {len(store)} cases, and a map needs at least 3; embed more.")
    every = np.array(store.index["patient"])
    rows = groups.evenly(store.index["patient"], asked.most, asked.seed)
    z = directions(store.embeddings[rows], store.centre)
    step("figures")
    judged, said, separated, why = _separated(store, asked)
    step("outliers")
    far = outlying.of_rows(store.embeddings[rows], z, every[rows])
    planes: list[Plane] = []
    missing: dict[str, str] = {}
    for name in asked.maps:
        step(maps.TITLES[name])
        made, without = maps.make(z, (name,), asked.perplexity, asked.neighbours, asked.seed)
        planes += made
        missing |= without
    findings = findings_of(separated)
    return Features(
        store,
        asked,
        rows,
        tuple(planes),
        missing,
        far,
        judged,
        said,
        tuple(separated),
        why,
        tuple(text for text, _ in findings),
        tuple(warn for _, warn in findings),
    )


def findings_of(separated: Sequence[Separated]) -> list[tuple[str, bool]]:
    """What the figures say in words, and whether it is a warning. The first is the class, by its name CLASSES."""
    if not separated or separated[0].name != CLASSES:
        return []
    label, found = separated[0], []
    ends = label.probe.auc.interval
    if label.probe.p_value <= CHANCE:
        found.append((f"The embedding tells the classes apart: {_said(label)}.", False))
    else:
        found.append((f"That the embedding tells the classes apart is not shown: {_said(label)}.", True))
    low = ends[0] if ends else label.probe.auc.value
    for one in separated[1:]:
        if not (one.probe.p_value <= CHANCE and one.probe.auc.value >= low):
            continue
        if one.within is not None and one.within.p_value <= CHANCE:
            rest = (
                f" It does so among cases of one class too ({one.within.auc.value:.2f}), so that the class does not "
                "account for it."
            )
        else:
            rest = " Among cases of one class that is not shown: the column may merely go along with the class."
        class_area = f"{label.probe.auc.value:.2f}"
        text = f"The embedding tells '{one.name}' apart as well as the class ({class_area}): {_said(one)}.{rest}"
        found.append((text, True))
    return found


def _separated(store: Store, asked: Asked) -> tuple[int, str, list[Separated], dict[str, str]]:
    rows, said = groups.chosen_rows(store, asked.judged, asked.seed)
    owners = np.array(store.index["patient"])[rows]
    z = directions(store.embeddings[rows], store.centre)
    on = separability.ground(z, owners)
    others, why = groups.of_others(store, rows)
    for one in others[COLUMNS:]:
        why[one.name] = f"only the first {COLUMNS} columns are judged"
    whole = groups.take(groups.of_label(store), rows)
    label = groups.enough(Grouping(CLASSES, whole.values, whole.codes), owners)
    found: list[Separated] = []
    if label is None:
        why[CLASSES] = f"fewer than two classes with {groups.FEWEST} labelled patients"
    for one in ([label] if label else []) + others[:COLUMNS]:
        inside = None if one is label or label is None else label
        found.append(separability.judge(on, one, inside, asked.seed, asked.replicates, asked.shuffles))
    first = 0 if label is None else 1
    return len(rows), said, found[:first] + sorted(found[first:], key=_by_probe), why


def _by_probe(one: Separated) -> float:
    """The column that is told apart best first."""
    return -one.probe.auc.value if np.isfinite(one.probe.auc.value) else 0.0


def _said(one: Separated) -> str:
    auc = one.probe.auc
    ends = f" (95% interval {auc.interval[0]:.2f} to {auc.interval[1]:.2f})" if auc.interval else ""
    return f"linear probe, ROC-AUC {auc.value:.2f}{ends}, p {one.probe.p_value:.3f}"


def _plain(value: Any) -> Any:
    """Numbers that JSON knows, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if np.isfinite(value) else None
    return value
