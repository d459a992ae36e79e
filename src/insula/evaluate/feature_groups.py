"""What the rows of a store can be told apart by: the label, and every other column of few values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insula.core.labels import clinical
from insula.core.recipe_inputs import ClinicalColumn
from insula.infer.feature_store import ATTRIBUTE, LABEL, Store

MOST_VALUES = 8
FEWEST = 5  # patients of a value: fewer cannot be cut into folds, and their figures say nothing
_NUMBERS = 0.8
_NUMBER = {"": ClinicalColumn(kind="number")}


@dataclass(frozen=True, eq=False)
class Grouping:
    """One column as groups: codes (n,) into values, -1 for rows that are in none. left_out: values of few patients."""

    name: str
    values: tuple[str, ...]
    codes: NDArray[np.intp]
    left_out: int = 0


def chosen_rows(store: Store, most: int, seed: int) -> tuple[NDArray[np.intp], str]:
    """Rows that the network was not fitted to, at most `most` evenly over the patients, and what has to be said.

    Rows of training and validation patients are left out where there are others: the network put them apart because it
    was told to.
    """
    seen = np.array([_seen(a, b) for a, b in zip(store.index["seen"], store.index["split"], strict=True)])
    rows, said = np.flatnonzero(~seen), ""
    if len(rows) < len(seen):
        said = f"The network was fitted to {int(seen.sum()):,} of {len(seen):,} cases; the figures leave them out."
    if len(rows) == 0:
        rows = np.arange(len(seen))
        said = (
            "The network was fitted to every case of this store: it put them apart because it was told to, and the "
            "figures are optimistic. Embed a split that it has not seen."
        )
    kept = evenly([store.index["patient"][i] for i in rows.tolist()], most, seed)
    if len(kept) < len(rows):
        said = f"{said} {len(kept):,} of the {len(rows):,} cases were drawn, evenly over the patients.".strip()
    return rows[kept], said


def evenly(patients: Sequence[str], most: int, seed: int) -> NDArray[np.intp]:
    """At most `most` places of the list, as evenly over its patients as can be, ascending."""
    if len(patients) <= most:
        return np.arange(len(patients))
    owned: dict[str, list[int]] = defaultdict(list)
    for place in np.random.default_rng(seed).permutation(len(patients)).tolist():
        owned[patients[place]].append(place)
    turns = sorted((turn, i) for places in owned.values() for turn, i in enumerate(places))
    return np.sort(np.array([i for _, i in turns[:most]], dtype=np.intp))


def of_label(store: Store) -> Grouping:
    """The first target's label; of labels that stand together whether the primary one is there."""
    texts, positive = store.index["label"], str(store.facts["positive"])
    if store.facts["kind"] == "multilabel":
        texts = [("" if not t else positive if positive in t.split(";") else f"no {positive}") for t in texts]
        return _grouped(str(store.facts["target"]), texts, (f"no {positive}", positive))
    return _grouped(str(store.facts["target"]), texts, store.classes)


def of_others(store: Store, rows: NDArray[np.intp]) -> tuple[list[Grouping], dict[str, str]]:
    """Every other column as groups, and why a column makes none on these rows.

    Numbers of many values are cut at their thirds. A value of fewer than FEWEST patients is left out. Columns that
    group the rows alike (scanner and manufacturer, say) are one grouping under all their names.
    """
    owners = np.array(store.index["patient"])[rows]
    found: list[Grouping] = []
    why: dict[str, str] = {}
    for column in store.attributes:
        name = column.removeprefix(ATTRIBUTE).removeprefix(LABEL)
        texts = [store.index[column][i] for i in rows.tolist()]
        different = sorted({text for text in texts if text}, key=_natural)
        if len(different) < 2:
            why[name] = "one value only" if different else "empty"
            continue
        if len(different) > MOST_VALUES:
            cut = _thirds(texts)
            if cut is None:
                why[name] = f"{len(different)} values"
                continue
            texts, different = cut
        one = enough(_grouped(name, texts, different), owners)
        if one is None:
            why[name] = f"fewer than two values with {FEWEST} patients"
        else:
            found.append(one)
    return _merged(found), why


def _merged(found: Sequence[Grouping]) -> list[Grouping]:
    """Groupings of the same rows together, named after all of their columns."""
    alike: dict[bytes, list[Grouping]] = defaultdict(list)
    for one in found:
        known = one.codes >= 0
        _, first, inverse = np.unique(one.codes[known], return_index=True, return_inverse=True)
        pattern = np.full(len(one.codes), -1, np.int64)
        pattern[known] = np.argsort(np.argsort(first))[inverse]  # groups by where they first stand
        alike[pattern.tobytes()].append(one)
    return [replace(same[0], name=", ".join(one.name for one in same)) for same in alike.values()]


def enough(one: Grouping, owners: NDArray[np.str_]) -> Grouping | None:
    """The grouping with values of at least FEWEST patients alone; None where fewer than two are left."""
    counts = [len(set(owners[one.codes == k].tolist())) for k in range(len(one.values))]
    kept = [k for k, count in enumerate(counts) if count >= FEWEST]
    if len(kept) < 2:
        return None
    place = np.full(len(one.values) + 1, -1)
    place[kept] = range(len(kept))
    return Grouping(one.name, tuple(one.values[k] for k in kept), place[one.codes], len(counts) - len(kept))


def take(one: Grouping, rows: NDArray[np.intp]) -> Grouping:
    """The grouping of some of the rows."""
    return Grouping(one.name, one.values, one.codes[rows], one.left_out)


def number(text: str) -> float:
    """A text as a number, an age as DICOM writes it in years; NaN where it is none."""
    return clinical({"": text}, _NUMBER)[0]


def _grouped(name: str, texts: Sequence[str], values: Sequence[str]) -> Grouping:
    place = {value: k for k, value in enumerate(values)}
    return Grouping(name, tuple(values), np.array([place.get(text, -1) for text in texts], dtype=np.intp))


def _seen(seen: str, split: str) -> bool:
    """Where patients are not known the split tells."""
    return seen == "yes" or (seen == "unknown" and split in ("train", "val"))


def _thirds(texts: Sequence[str]) -> tuple[list[str], list[str]] | None:
    values = np.array([number(text) for text in texts])
    known = values[np.isfinite(values)]
    if len(known) < _NUMBERS * sum(bool(text) for text in texts):
        return None
    low, high = np.quantile(known, (1 / 3, 2 / 3))
    if not low < high:
        return None
    names = [f"up to {low:.4g}", f"up to {high:.4g}", f"above {high:.4g}"]
    return [names[int(v > low) + int(v > high)] if np.isfinite(v) else "" for v in values], names


def _natural(text: str) -> tuple[int, float, str]:
    value = number(text)
    return (0, value, text) if np.isfinite(value) else (1, 0.0, text)
