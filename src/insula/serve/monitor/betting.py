"""Is a stream of numbers still like those before it, asked again after each one without more false alarms.

Each number gets a conformal p-value: its rank among all that came before it. While the order of the numbers says
nothing (they are exchangeable) these are independent and uniform on 0 to 1, whatever the numbers' own distribution
(Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, section 2.2). A capital of 1 is bet against
that: what it has become is a test martingale, which reaches 1/α with a chance of at most α however long and often one
looks (Ville, Étude critique de la notion de collectif, 1939; Vovk, Statistical Science 36:595, 2021).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, logsumexp

Values = NDArray[np.float64]
# densities of p that are bet on: values that grew or fell, and a distribution that became wider or tighter
BETS: Final = ((0.25, 1.0), (1.0, 0.25), (0.5, 1.0), (1.0, 0.5), (0.7, 1.3), (1.3, 0.7), (0.5, 0.5), (2.0, 2.0))
EVERY: Final = 20
_BLOCK: Final = 256
_LEAST: Final = 1e-12


def p_values(values: Values, before: Values, ties: Values) -> Values:
    """Conformal p-values (n,) of a stream (n,) that follows reference values (r,); small where a value is large.

    ties (n,): independent of all else and uniform on 0 to 1; they settle ranks among equals, the value itself included.
    """
    known = np.sort(before)
    found = np.empty(len(values))
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        ends = np.searchsorted(known, block, side="right")
        earlier = np.tri(len(block), dtype=bool)  # itself and those before it in the block
        greater = len(known) - ends + ((block[None] > block[:, None]) & earlier).sum(axis=1)
        equal = ends - np.searchsorted(known, block, side="left")
        equal += ((block[None] == block[:, None]) & earlier).sum(axis=1)
        among = len(before) + start + 1 + np.arange(len(block))
        found[start : start + _BLOCK] = (greater + ties[start : start + _BLOCK] * equal) / among
        known = np.sort(np.concatenate([known, block]), kind="stable")
    return found


def log_capital(p: Values) -> Values:
    """Natural logarithm (n,) of a capital of 1 after each bet on p-values (n,) that they are not uniform.

    Even parts of it are bet on each density of BETS. Each part is not staked at once: its share 1/j(j + 1) is staked
    from the j-th multiple of EVERY values on, and the rest is kept, so that a change after many values is found about
    as fast as an early one, at the price of a logarithm (the shares sum to 1, so that the capital stays a test
    martingale).
    """
    n = len(p)
    if n == 0:
        return np.zeros(0)
    inside = np.clip(p, _LEAST, 1 - _LEAST)
    up, down = np.log(inside), np.log1p(-inside)
    won = np.cumsum([(a - 1) * up + (b - 1) * down - betaln(a, b) for a, b in BETS], axis=1)
    before = np.concatenate([np.zeros((len(BETS), 1)), won[:, :-1]], axis=1)
    at = np.arange(n)
    j = at // EVERY + 1.0
    staked = np.where(at % EVERY == 0, -np.log(j * (j + 1)), -np.inf) - before
    parts = won + np.logaddexp.accumulate(staked, axis=1)
    at_work = logsumexp(parts, axis=0) - np.log(len(BETS))
    capital: Values = np.logaddexp(at_work, -np.log(j + 1))
    return capital


def ties(keys: Sequence[str]) -> Values:
    """A number on 0 to 1 for each key (n,), the same each time, and even over keys that nobody chose."""
    drawn = [int.from_bytes(hashlib.blake2s(key.encode(), digest_size=6).digest()) for key in keys]
    return (np.array(drawn, np.float64) + 0.5) / float(1 << 48)
