"""How long an exact search among 100,000 stored embeddings takes (make bench-similar).

The store's file is mapped into memory as `insula similar` maps it; beside it stand scikit-learn's brute-force
neighbours, by cosine of the centred embeddings and, at its quickest, by Euclidean distance of directions that were made
beforehand and lie in memory. All sides run interleaved, with equally many threads, and have to find the same rows.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
from sklearn.neighbors import NearestNeighbors

from insula.infer.feature_store import FIRST, SHOWN, Store
from insula.infer.similar import directions
from insula.infer.similar_cases import Ready, alike, ready

ROWS, SIZE, TOP, ROUNDS, QUERIES = 100_000, 512, 10, 15, 16
GOALS = {"search_ms": 50.0}


def made(seed: int = 0) -> np.ndarray:
    """Features as a network's: none below 0, in groups, with a middle that is not 0."""
    g = np.random.default_rng(seed)
    groups = g.normal(0, 0.6, (40, SIZE)).astype(np.float32)
    rows = groups[g.integers(0, 40, ROWS)] + g.normal(0.4, 0.5, (ROWS, SIZE)).astype(np.float32)
    return np.maximum(rows, 0, dtype=np.float32)


def stored(folder: Path, embeddings: np.ndarray) -> Store:
    """The embeddings as a store has them, with two cases a patient."""
    path = folder / "embeddings.npy"
    np.save(path, embeddings)
    rows = range(ROWS)
    index: dict[str, list[str]] = {name: [""] * ROWS for name in (*FIRST, *SHOWN)}
    index |= {"case": [f"c{i}" for i in rows], "patient": [f"p{i // 2}" for i in rows], "p_b": ["0.5"] * ROWS}
    index["label"] = ["ab"[i % 2] for i in rows]
    facts = {"kind": "multiclass", "classes": ["a", "b"], "positive": "b"}
    return Store(folder, np.load(path, mmap_mode="r"), index, (), {**facts, "centre": embeddings.mean(0, dtype=float)})


def found_by(within: Ready, query: np.ndarray) -> np.ndarray:
    """As `insula similar` asks: the cases with what is known of them, one patient left out."""
    return np.array([one.row for one in alike(within, query, TOP, not_patient="nobody").cases])


def main() -> int:
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {threads} threads, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, scikit-learn {sklearn.__version__}; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print(f"{ROWS:,} embeddings of {SIZE} numbers, the {TOP} nearest of one query, {ROUNDS} rounds interleaved")
    embeddings = made()
    centre = embeddings.mean(axis=0, dtype=np.float64)
    g = np.random.default_rng(1)
    near = embeddings[g.integers(0, ROWS, QUERIES)]
    queries = np.maximum(near + g.normal(0, 0.2, near.shape).astype(np.float32), 0)
    with tempfile.TemporaryDirectory() as folder:
        store = stored(Path(folder), embeddings)
        start = time.perf_counter()
        within = ready(store)
        opened = 1000 * (time.perf_counter() - start)
        centred = (embeddings - centre).astype(np.float32)
        units = directions(embeddings, centre)
        cosine = NearestNeighbors(n_neighbors=TOP, algorithm="brute", metric="cosine").fit(centred)
        euclidean = NearestNeighbors(n_neighbors=TOP, algorithm="brute", metric="euclidean").fit(units)
        sides: dict[str, Callable[[np.ndarray], np.ndarray]] = {
            "Insula, mapped file": partial(found_by, within),
            "scikit-learn, cosine": lambda q: cosine.kneighbors((q - centre).astype(np.float32)[None])[1][0],
            "scikit-learn, directions": lambda q: euclidean.kneighbors(directions(q[None], centre))[1][0],
        }
        times: dict[str, list[float]] = {side: [] for side in sides}
        agree = True
        for number in range(ROUNDS + 1):
            query, rows = queries[number % QUERIES], {}
            for side, search in sides.items():
                start = time.perf_counter()
                rows[side] = search(query)
                if number:  # the first round warms up
                    times[side].append(1000 * (time.perf_counter() - start))
            agree &= all(set(found.tolist()) == set(rows["Insula, mapped file"].tolist()) for found in rows.values())
    print(f"\n{'':<28}{'median ms':>10}{'least':>9}{'most':>9}{'times Insula':>14}")
    base = statistics.median(times["Insula, mapped file"])
    for side, found in times.items():
        middle = statistics.median(found)
        print(f"{side:<28}{middle:>10.1f}{min(found):>9.1f}{max(found):>9.1f}{middle / base:>14.2f}")
    print(f"Opening the store for any number of searches, once: {opened:.0f} ms. Same rows by all sides: {agree}")
    figures = {
        "search_ms": round(base, 2),
        "open_ms": round(opened, 1),
        "sklearn_cosine_ms": round(statistics.median(times["scikit-learn, cosine"]), 2),
        "sklearn_directions_ms": round(statistics.median(times["scikit-learn, directions"]), 2),
        "same_rows": agree,
    }
    holds = agree and figures["search_ms"] <= GOALS["search_ms"]
    print(json.dumps({"bench": "similar", "figures": figures, "goals": GOALS, "holds": holds}))
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
