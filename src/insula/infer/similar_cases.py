"""The stored cases most alike to a scan, with what is known of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from insula.infer.feature_store import Store
from insula.infer.similar import Searchable, nearest, searchable

SAME: Final = 1.0 - 1e-5


@dataclass(frozen=True)
class Alike:
    """One stored case: its row, likeness from -1 to 1, and what the index tells of it.

    seen: yes, no or unknown, whether its patient was trained or validated on. right: yes, no, or "" without a label.
    probability: of the positive class; None, with predicted "", for a case that the policy rejects.
    """

    row: int
    case: str
    patient: str
    likeness: float
    split: str
    seen: str
    label: str
    predicted: str
    right: str
    action: str
    probability: float | None

    @property
    def same(self) -> bool:
        """Whether the embeddings are all but equal: most likely it is the same scan."""
        return self.likeness >= SAME


@dataclass(frozen=True)
class Answer:
    """The most alike cases, the most first; how many were searched, and how many of a label there are among both.

    Of labels that stand together the primary one counts, and `no <label>`.
    """

    cases: tuple[Alike, ...]
    searched: int
    labels: dict[str, int]
    labels_of_all: dict[str, int]

    @property
    def told(self) -> str:
        """How often the commonest label stands among these cases, and how often among all that were searched."""
        labelled, all_labelled = sum(self.labels.values()), sum(self.labels_of_all.values())
        if not labelled:
            return "None of these cases has a label."
        name = max(self.labels, key=lambda one: (self.labels[one], one))
        share = self.labels_of_all[name] / all_labelled
        return (
            f"{self.labels[name]} of the {labelled} labelled cases here are '{name}'; of all {all_labelled:,} labelled "
            f"cases that were searched {share:.0%} are."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [asdict(one) | {"likeness": round(one.likeness, 6), "same": one.same} for one in self.cases]
        return {"searched": self.searched, "labels": self.labels, "labels_of_all": self.labels_of_all, "cases": rows}


@dataclass(frozen=True, eq=False)
class Ready:
    """A store made ready for any number of searches, safe to use from several threads.

    patients, splits: (n,). labels: the names that are counted, and labelled (n,) codes into them, -1 without a label.
    """

    store: Store
    among: Searchable
    patients: NDArray[np.str_]
    splits: NDArray[np.str_]
    labels: tuple[str, ...]
    labelled: NDArray[np.intp]


def ready(store: Store) -> Ready:
    """Make a store ready: one pass over its embeddings and its index."""
    counted = [_counted(store, text) for text in store.index["label"]]
    names = tuple(sorted({text for text in counted if text}))
    place = {name: k for k, name in enumerate(names)} | {"": -1}
    return Ready(
        store,
        searchable(store.embeddings, store.centre),
        np.array(store.index["patient"]),
        np.array(store.index["split"]),
        names,
        np.array([place[text] for text in counted], dtype=np.intp),
    )


def alike(
    within: Ready,
    embedding: NDArray[np.floating],
    top: int = 10,
    not_patient: str = "",
    splits: Collection[str] = (),
) -> Answer:
    """The `top` cases of a store that was made ready most alike to an embedding (E,) of the same bundle.

    not_patient: whose own cases are left out. splits: those that are searched, all when none is named.
    """
    store = within.store
    out = np.zeros(len(store), bool)
    if not_patient:
        out |= within.patients == not_patient
    if splits:
        out |= ~np.isin(within.splits, sorted(splits))
    found = nearest(within.among, embedding, top, out)
    rows = found.rows.tolist()
    return Answer(
        tuple(_of_row(store, row, float(likeness)) for row, likeness in zip(rows, found.likeness, strict=True)),
        int((~out).sum()),
        _tally(within, within.labelled[found.rows]),
        _tally(within, within.labelled[~out]),
    )


def _tally(within: Ready, codes: NDArray[np.intp]) -> dict[str, int]:
    counts = np.bincount(codes[codes >= 0], minlength=len(within.labels)).tolist()
    return {name: count for name, count in zip(within.labels, counts, strict=True) if count}


def _counted(store: Store, text: str) -> str:
    if store.facts["kind"] != "multilabel" or not text:
        return text
    positive: str = store.facts["positive"]
    return positive if positive in text.split(";") else f"no {positive}"


def _of_row(store: Store, row: int, likeness: float) -> Alike:
    def of(column: str) -> str:
        return store.index[column][row]

    p = of(f"p_{store.facts['positive']}")
    return Alike(
        row,
        of("case"),
        of("patient"),
        likeness,
        of("split"),
        of("seen"),
        of("label"),
        of("predicted"),
        of("right"),
        of("action"),
        float(p) if p else None,
    )
