"""What follows from the figures of judged maps, in words."""

from __future__ import annotations

from typing import Final

import numpy as np

from insula.evaluate.maps import Check, Effect
from insula.metrics.intervals import Figure

KEPT: Final = 0.5  # of the probability, that may be left when everything is covered
HARDLY: Final = 0.5  # a rank correlation above which a map is said to hardly depend on what was taken away


def findings(
    inside: tuple[Figure, float],
    ends: tuple[Figure, Figure],
    deletion: Effect,
    insertion: Effect,
    gained: Figure,
    drawn: Figure,
    shuffled: Check | None,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What follows from the figures, in words: what speaks for the maps, and what warns of them.

    inside: share of the heat in the head, and by chance. ends: probability of the whole scans and of those covered all
    over; where it stays, the curves say nothing. gained, drawn: heat in the lesion beside, and rank correlation with,
    networks whose weights were drawn anew.
    """
    good, bad = [], []
    share, chance = inside
    if share.n and not _low(share) > chance:
        bad.append(f"No more of the heat lies in the head than by chance ({chance:.2f}): {_said(share)}.")
    through = ends[1].value > KEPT * ends[0].value
    if through:
        bad.append(
            f"The cover does not take the answer away: the probability is {_said(ends[0])} of whole scans and "
            f"{_said(ends[1])} of scans that are covered all over, so that deletion and insertion say nothing here."
        )
    for name, one, what in () if through else (("Covering", deletion, "falls"), ("Showing", insertion, "rises")):
        said = f"{name} the hottest parts first, the probability {what} sooner than in a random order"
        if _low(one.gain) > 0:
            good.append(f"{said}: the area gains {_said(one.gain)}.")
        else:
            bad.append(f"That, {said[0].lower()}{said[1:]}, is not shown: the area gains {_said(one.gain)}.")
    if gained.n:
        said = f"more of its heat in the lesion than networks whose weights were drawn anew: {_said(gained)}"
        (good if _low(gained) > 0 else bad).append(
            f"The network has {said}." if _low(gained) > 0 else f"Not shown: {said}."
        )
    for alike, what, other in (
        (drawn, "what the network learnt", "networks whose weights were drawn anew"),
        (shuffled.similarity if shuffled else None, "the labels", "a network trained on shuffled labels"),
    ):
        if alike is None or not alike.n:
            continue
        high = alike.interval[1] if alike.interval else alike.value
        text = f"rank correlation with the maps of {other} {_said(alike)}"
        if high < HARDLY:
            good.append(f"The maps depend on {what}: {text}.")
        else:
            bad.append(f"The maps may hardly depend on {what}: {text}.")
    return tuple(good), tuple(bad)


def _low(figure: Figure) -> float:
    return figure.interval[0] if figure.interval else figure.value


def _said(figure: Figure) -> str:
    value = f"{figure.value:.2f}".replace("-", "−") if np.isfinite(figure.value) else "not defined"
    if not figure.interval:
        return f"{value} ({figure.reason})"
    low, high = (f"{end:.2f}".replace("-", "−") for end in figure.interval)
    return f"{value} (95% interval {low} to {high})"
