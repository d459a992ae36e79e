"""A store of embeddings: what a network saw of each case of a cohort, as plain files.

`embeddings.npy` float32 (n, E), without pickles, to be mapped into memory; `index.csv` one row for each of its rows;
`failures.csv`; `thumbnails/`; and `manifest.json` with the bundle's id and the SHA-256 of the three tables. Made by
`infer.embed` out of the store's journal.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insula.core.cells import guarded, unguarded
from insula.core.errors import CohortError, UsageError
from insula.core.provenance import sha256_file, write_bytes, write_json
from insula.core.types import FloatArray

MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings.npy"
INDEX = "index.csv"
FAILURES = "failures.csv"
THUMBNAILS = "thumbnails"
FORMAT = "insula-embeddings"
VERSION = 1
FIRST = ("case", "patient", "split", "seen", "label", "predicted", "right", "action", "domain_score", "distance")
SHOWN = ("thumbnail", "shown_scan", "shown_slice", "shown_by")
ATTRIBUTE = "attribute."
LABEL = "label."
_MOST_BYTES = 1 << 32
_AGAIN = "make it again with insula embed"
_FACTS = {
    "bundle": str,
    "recipe": str,
    "question": str,
    "target": str,
    "kind": str,
    "classes": list,
    "positive": str,
    "cohort": str,
    "patient_ids": bool,
    "centre": list,
    "rows": int,
    "dimension": int,
    "files": dict,
}


@dataclass(frozen=True, eq=False)
class Store:
    """An opened store.

    embeddings: float32 (n, E), mapped. index: column → n texts, of the columns FIRST, `p_<class>` (empty for a case
    that the policy rejects), SHOWN, `label.<further target>` and `attribute.<name>`. failures: case and reason. facts:
    the manifest.
    """

    folder: Path
    embeddings: FloatArray
    index: Mapping[str, Sequence[str]]
    failures: tuple[tuple[str, str], ...]
    facts: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the bundle's first target."""
        return tuple(self.facts["classes"])

    @property
    def centre(self) -> NDArray[np.float64]:
        """The mean of the training embeddings (E,), from which likeness is seen."""
        return np.asarray(self.facts["centre"], np.float64)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The columns of the index that hold attributes of patients and scans, or answers to further targets."""
        return tuple(name for name in self.index if name.startswith((ATTRIBUTE, LABEL)))

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as numbers (n,), NaN where it holds none."""
        return np.array([_number(text) for text in self.index[column]], dtype=np.float64)

    def thumbnail(self, row: int) -> bytes:
        """The JPEG of a row; empty where there is none."""
        name = self.index["thumbnail"][row]
        if not name:
            return b""
        path = self.folder / THUMBNAILS / name
        return path.read_bytes() if path.is_file() else b""


def write(
    folder: Path,
    embeddings: FloatArray,
    index: Mapping[str, Sequence[str]],
    failures: Sequence[tuple[str, str]],
    facts: Mapping[str, Any],
) -> None:
    """Write the tables of a store and then its manifest, each whole or not at all. facts: as `Store.facts` has them."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(embeddings, "<f4"), allow_pickle=False)
    write_bytes(folder / EMBEDDINGS, stream.getvalue())
    write_bytes(folder / INDEX, _table(list(index), zip(*index.values(), strict=True)))
    write_bytes(folder / FAILURES, _table(["case", "reason"], failures))
    files = {name: _file(folder / name) for name in (EMBEDDINGS, INDEX, FAILURES)}
    rows, dimension = embeddings.shape
    write_json(
        folder / MANIFEST,
        {"format": FORMAT, "version": VERSION, **facts, "rows": rows, "dimension": dimension, "files": files},
    )


def load(folder: Path) -> Store:
    """Open a store whose files are those of its manifest; UsageError where there is none, CohortError for damage."""
    folder = Path(folder)
    facts = manifest(folder)
    for name in (EMBEDDINGS, INDEX, FAILURES):
        path, told = folder / name, facts["files"].get(name, {})
        if not path.is_file() or not isinstance(told, dict) or _file(path) != told:
            raise CohortError(f"The store's file '{name}' is missing or is not the manifest's; {_AGAIN}.")
    try:
        embeddings = np.load(folder / EMBEDDINGS, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise CohortError(f"The store's file '{EMBEDDINGS}' is no array of NumPy; {_AGAIN}.") from error
    if embeddings.dtype != np.float32 or embeddings.shape != (facts["rows"], facts["dimension"]):
        raise CohortError(
            f"The store's file '{EMBEDDINGS}' holds {embeddings.dtype} {embeddings.shape}, and its manifest promises "
            f"float32 {(facts['rows'], facts['dimension'])}; {_AGAIN}."
        )
    if len(facts["centre"]) != facts["dimension"] or not all(isinstance(v, float | int) for v in facts["centre"]):
        raise CohortError(f"The store's manifest names a centre of another length than its embeddings; {_AGAIN}.")
    names, rows = _rows(folder / INDEX)
    wanted = {*FIRST, *SHOWN, *(f"p_{c}" for c in facts["classes"])}
    if len(rows) != len(embeddings) or not wanted <= set(names):
        raise CohortError(f"The store's file '{INDEX}' does not fit its embeddings; {_AGAIN}.")
    index = _withheld({name: [row[i] for row in rows] for i, name in enumerate(names)}, facts["classes"])
    if any("/" in name or "\\" in name for name in index["thumbnail"]):
        raise CohortError(f"The store's file '{INDEX}' names a picture outside the store; {_AGAIN}.")
    failures = tuple((row[0], row[1]) for row in _rows(folder / FAILURES)[1])
    return Store(folder, embeddings, index, failures, facts)


def manifest(folder: Path) -> dict[str, Any]:
    """What a store says of itself; UsageError where there is none, CohortError where it is damaged."""
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"'{folder}' holds no store of embeddings ({MANIFEST}); make one with insula embed.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CohortError(f"The store's file '{MANIFEST}' is no JSON; {_AGAIN}.") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UsageError(f"'{path}' is not the manifest of a store of embeddings; make one with insula embed.")
    if found.get("version") != VERSION or any(not isinstance(found.get(k), kind) for k, kind in _FACTS.items()):
        raise CohortError(f"The store in '{folder}' is of another version of Insula, or damaged; {_AGAIN}.")
    return found


def of_bundle(store: Store, bundle: str) -> Store:
    """The store itself where it was made with the bundle of this id; UsageError for another."""
    if store.facts["bundle"] != bundle:
        raise UsageError(
            f"The store in '{store.folder}' was made with bundle {store.facts['bundle']} and this is bundle {bundle}: "
            "embeddings of two networks cannot be compared. Make a store with this bundle: insula embed."
        )
    return store


def _withheld(index: dict[str, list[str]], classes: Sequence[str]) -> dict[str, list[str]]:
    """The index without a probability for a rejected case; stores of earlier versions hold one."""
    for name in (f"p_{one}" for one in classes):
        index[name] = ["" if act == "reject" else p for act, p in zip(index["action"], index[name], strict=True)]
    return index


def _file(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _table(names: Sequence[str], rows: Any) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in (names, *rows):  # names of cases and patients come out of files
        writer.writerow(guarded(cell) if isinstance(cell, str) else cell for cell in row)
    return text.getvalue().encode()


def _rows(path: Path) -> tuple[list[str], list[list[str]]]:
    if path.stat().st_size > _MOST_BYTES:
        raise CohortError(f"The store's file '{path.name}' is longer than {_MOST_BYTES} bytes; {_AGAIN}.")
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise CohortError(f"The store's file '{path.name}' is no table in UTF-8; {_AGAIN}.") from error
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise CohortError(f"The store's file '{path.name}' has rows of different lengths; {_AGAIN}.")
    read = [[unguarded(cell) for cell in row] for row in rows]
    return read[0], read[1:]


def thumbnail_name(case: str) -> str:
    """The file of a case's thumbnail, which does not tell the case's key."""
    return f"{hashlib.sha256(case.encode()).hexdigest()[:20]}.jpg"
