"""Monte Carlo dropout on the head: how much a prediction moves when features are dropped at random.

Dropout stands before the head alone, so the passes re-run the head on one embedding: exact, and nearly free. No
normalisation layer is touched. Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insula.core.types import FloatArray
from insula.infer.engine import Engine


@dataclass(frozen=True, eq=False)
class Summary:
    """Over dropout passes: mean (K,), spread (K,) (standard deviation, n in the denominator), in nats entropy of the
    mean and mutual information (the part of the entropy that comes from disagreement between passes).
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    entropy: float
    mutual_information: float


def keep_masks(embedding: FloatArray, passes: int, dropout: float, seed: int) -> FloatArray:
    """Dropout multipliers (passes, E), 0 or 1/(1 - p), drawn from the recipe's seed and the embedding's bytes.

    The same embedding therefore gets the same masks, whatever was predicted before it.
    """
    digest = hashlib.sha256(seed.to_bytes(8, "big") + np.ascontiguousarray(embedding, "<f4").tobytes()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    kept = generator.random((passes, embedding.size), dtype=np.float32) >= dropout
    return kept.astype(np.float32) / np.float32(1.0 - dropout)


def sample(engine: Engine, embedding: FloatArray, passes: int, dropout: float, seed: int) -> FloatArray:
    """Logits (passes, N, K) of N embeddings (N, E), each under its own masks."""
    keep = np.stack([keep_masks(row, passes, dropout, seed) for row in embedding], axis=1)
    n, e = embedding.shape
    rows = np.broadcast_to(embedding, (passes, n, e)).reshape(passes * n, e)
    return engine.head(rows, keep.reshape(passes * n, e)).reshape(passes, n, -1)


def summary(probabilities: NDArray[np.floating], kind: Literal["multiclass", "multilabel"]) -> Summary:
    """What passes × K probabilities say: mean, spread, predictive entropy and mutual information.

    For labels that stand together the entropies of the single labels are added (they are independent given a pass).
    """
    p = np.asarray(probabilities, np.float64)
    mean = p.mean(axis=0)
    total = _entropy(mean, kind)
    within = float(np.mean([_entropy(row, kind) for row in p]))
    return Summary(mean, p.std(axis=0), total, max(0.0, total - within))


def _entropy(p: NDArray[np.float64], kind: Literal["multiclass", "multilabel"]) -> float:
    parts = (p,) if kind == "multiclass" else (p, 1.0 - p)
    return float(sum(-(q * np.log(np.clip(q, 1e-300, None))).sum() for q in parts))
