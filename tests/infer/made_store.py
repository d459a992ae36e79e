"""A small store of embeddings with known groups, for everything that reads one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from insula.infer import feature_store as stores
from insula.infer.feature_store import Store
from insula.infer.thumbnail import jpeg

SIZE = 24


def make(
    folder: Path,
    patients: int = 40,
    each: int = 2,
    seed: int = 0,
    apart: float = 2.0,
    scanner: float = 0.0,
    kind: str = "multiclass",
    seen: str | list[str] = "no",
    pictures: bool = True,
    more: Mapping[str, list[str]] | None = None,
    rejected: Collection[int] = (),
) -> Store:
    """Patients of two classes and two scanners, balanced; apart, scanner: how far either moves the embedding.

    more: columns of the index, in place of its own or beside them. rejected: rows that the policy rejects, with the
    probabilities that earlier versions kept of them.
    """
    g = np.random.default_rng(seed)
    n = patients * each
    owner = np.repeat(np.arange(patients), each)
    y, s = owner % 2, (owner // 2) % 2
    x = g.normal(0, 0.6, (patients, SIZE))[owner] + g.normal(1.0, 0.3, (n, SIZE))
    x[:, 0] += apart * y
    x[:, 1] += scanner * s
    embeddings = np.maximum(x, 0).astype(np.float32)
    p = np.clip(0.3 + 0.4 * y + g.normal(0, 0.2, n), 0.01, 0.99)
    labels = np.where(y == 1, "stroke", "normal") if kind == "multiclass" else np.where(y == 1, "stroke;small", "none")
    classes = ["normal", "stroke"] if kind == "multiclass" else ["stroke", "small"]
    called = np.where(p > 0.5, "stroke", "normal" if kind == "multiclass" else "no stroke")
    thumbnails = folder / stores.THUMBNAILS
    thumbnails.mkdir(parents=True)
    for i in range(n if pictures else 0):
        (thumbnails / f"{i}.jpg").write_bytes(jpeg(np.full((8, 8), i / n, np.float32), 16))
    index: dict[str, list[str]] = {
        "case": [f"c{i:03}" for i in range(n)],
        "patient": [f"p{o:03}" for o in owner],
        "split": ["test"] * n,
        "seen": [seen] * n if isinstance(seen, str) else seen,
        "label": labels.tolist(),
        "predicted": called.tolist(),
        "right": np.where((p > 0.5) == (y == 1), "yes", "no").tolist(),
        "action": ["accept"] * n,
        "domain_score": [f"{v:.3f}" for v in g.random(n)],
        "distance": [""] * n,
        f"p_{classes[0]}": [f"{v:.4f}" for v in (1 - p if kind == "multiclass" else p)],
        f"p_{classes[1]}": [f"{v:.4f}" for v in (p if kind == "multiclass" else p / 2)],
        "thumbnail": [f"{i}.jpg" if pictures else "" for i in range(n)],
        "shown_scan": ["ct"] * n,
        "shown_slice": ["0"] * n,
        "shown_by": ["heat"] * n,
        "attribute.scanner": [("AX", "BR")[v] for v in s],
        "attribute.age": [str(20 + int(o)) for o in owner],
        "attribute.note": ["all alike"] * n,
    }
    for i in rejected:
        index["predicted"][i] = index["right"][i] = ""
        index["action"][i] = "reject"
    facts: dict[str, Any] = {
        "bundle": "b" * 16,
        "recipe": "made",
        "question": "Is it there?",
        "target": "answer",
        "kind": kind,
        "classes": classes,
        "positive": "stroke",
        "cohort": "made",
        "splits": ["test"],
        "split_level": "patient",
        "patient_ids": True,
        "centre": embeddings.mean(axis=0, dtype=np.float64).tolist(),
        "origin": {"created": "2026-01-01T00:00:00+00:00"},
    }
    stores.write(folder, embeddings, index | dict(more or {}), [("bad", "it is empty")], facts)
    return stores.load(folder)
