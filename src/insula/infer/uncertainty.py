"""What the draws of a prediction (dropout passes, views of the scan, members of an ensemble) say of its certainty."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from insula.bundle.types import Bundle
from insula.core.recipe_policy import Source
from insula.core.types import Uncertainty
from insula.metrics.probabilities import Kind, exclusive

SOURCES: Final[tuple[Source, ...]] = get_args(Source)
LEVEL: Final = 0.95
_LEAST = 1e-9  # of a probability, so that its logit is finite


def of_draws(probabilities: ArrayLike, kind: Kind, primary: int = 0) -> Uncertainty:
    """Mean, spread, 95% interval, predictive entropy and mutual information of T ≥ 2 draws of (K,) probabilities.

    Entropy of the mean H[E p] and mutual information H[E p] − E H[p], in nats (Houlsby et al. 2011; Gal, Islam and
    Ghahramani 2017). primary: of labels that stand together, the one that is answered; its entropy alone is taken,
    since a sum over all labels tells nothing of errors in it. Raises ValueError for fewer than two draws.
    """
    p = np.asarray(probabilities, np.float64)
    if p.ndim != 2 or len(p) < 2:
        raise ValueError(f"draws of the shape {p.shape}; two rows of (K,) are the least")
    mean = p.mean(axis=0)
    total = float(entropy(mean, kind, primary))
    within = float(entropy(p, kind, primary).mean())
    low, high = interval(p)
    return Uncertainty(
        draws=len(p),
        mean=mean.astype(np.float32),
        spread=p.std(axis=0).astype(np.float32),
        low=low.astype(np.float32),
        high=high.astype(np.float32),
        entropy=total,
        mutual_information=max(0.0, total - within),
    )


def entropy(probabilities: NDArray[np.float64], kind: Kind, primary: int = 0) -> NDArray[np.float64]:
    """−Σ p·ln p over the last axis, in nats; of labels that stand together that of the primary one, yes or no."""
    p = probabilities
    if not exclusive(kind):
        p = np.stack([p[..., primary], 1.0 - p[..., primary]], axis=-1)
    found: NDArray[np.float64] = -(p * np.log(np.clip(p, 1e-300, None))).sum(axis=-1)
    return found


def interval(probabilities: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where 95% of further draws are expected, (K,) twice, from draws (T, K): Student's interval on the logit scale.

    m ± t(T − 1)·s·√(1 + 1/T), the prediction interval for one more observation of a normal sample. It holds what this
    source moves, and nothing of what all draws have in common.
    """
    from scipy.special import expit, logit, stdtrit  # not needed to start a service

    x = logit(np.clip(probabilities, _LEAST, 1.0 - _LEAST))
    n = len(x)
    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2)) * x.std(axis=0, ddof=1) * np.sqrt(1.0 + 1.0 / n)
    middle = x.mean(axis=0)
    return expit(middle - half), expit(middle + half)


def asked(bundle: Bundle, ask: Collection[Source]) -> tuple[Source, ...]:
    """The sources of uncertainty that are drawn: those asked for, and those by which the policy decides."""
    needed = bundle.recipe.policy.refer.sources
    return tuple(source for source in SOURCES if source in ask or source in needed)
