"""Monte Carlo dropout on the head: how much a prediction moves when features are dropped at random.

Dropout stands before the head alone, so the passes re-run the head on one embedding: exact, and nearly free. No
normalisation layer is touched. Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

import hashlib

import numpy as np

from insula.core.types import FloatArray
from insula.infer.engine import Engine


def keep_masks(embeddings: FloatArray, passes: int, dropout: float, seed: int) -> FloatArray:
    """Dropout multipliers (passes, E), 0 or 1/(1 - p), drawn from the recipe's seed and the bytes of (N, E) or (E,).

    The same case therefore gets the same masks, whatever was predicted before it.
    """
    digest = hashlib.sha256(seed.to_bytes(8, "big") + np.ascontiguousarray(embeddings, "<f4").tobytes()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
    kept = generator.random((passes, embeddings.shape[-1]), dtype=np.float32) >= dropout
    return np.multiply(kept, np.float32(1.0) / np.float32(1.0 - dropout), dtype=np.float32)


def sample(engine: Engine, embedding: FloatArray, passes: int, dropout: float, seed: int) -> FloatArray:
    """Logits (passes, N, K) of the N inputs (N, E) of one case.

    A pass is one network drawn from many, so it drops the same features of all inputs of the case: masks of their own
    would average out over the inputs, and the spread of a case would shrink with the number of its slices.
    """
    n, e = embedding.shape
    keep = np.repeat(keep_masks(embedding, passes, dropout, seed), n, axis=0)
    rows = np.broadcast_to(embedding, (passes, n, e)).reshape(passes * n, e)
    return engine.head(rows, keep).reshape(passes, n, -1)
