"""What follows from the figures of judged maps, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from insula.evaluate.maps import Check, Effect
from insula.metrics.intervals import Figure

KEPT: Final = 0.5  # of the probability, that may be left when everything is covered
# A rank correlation from which on two maps are said to be alike. At 0.5 two cells stand in the same order about twice
# as often as in the other (67% of pairs, by arcsin r of normal values), and on the made patients of
# docs/results/localisation.md no two networks without a weight in common came near it (0.39 was the most).
HARDLY: Final = 0.5


def findings(
    inside: tuple[Figure, float],
    ends: tuple[Figure, Figure],
    deletion: Effect,
    insertion: Effect,
    gained: Figure,
    drawn: Figure,
    shuffled: Check | None,
    cascade: Sequence[Check] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What follows from the figures, in words: what speaks for the maps, and what warns of them.

    inside: share of the heat in the head, and by chance. ends: probability of the whole scans and of those covered all
    over; where it stays, the curves say nothing. gained, drawn: heat in the lesion beside, and rank correlation with,
    networks whose weights were drawn anew. cascade: parts of the network drawn anew, each with all above it.
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
    bad += still_alike(cascade)
    return tuple(good), tuple(bad)


def still_alike(cascade: Sequence[Check]) -> list[str]:
    """A sentence against the maps for each stage, from the heads down, whose maps remain, or may remain, the real ones.

    A stage is named where its interval reaches `HARDLY`; one whose maps are all the same everywhere has no figure.
    """
    found = []
    for i, stage in enumerate(cascade):
        alike = stage.similarity
        high = alike.interval[1] if alike.interval else alike.value
        if not alike.n or not high >= HARDLY:
            continue
        sure = _low(alike) >= HARDLY
        what = f"'{stage.name}'{' and all above it' if i else ' alone'}"
        text = f"With the weights of {what} drawn anew the maps {'remain' if sure else 'may remain'} alike: rank "
        text += f"correlation with the real ones {_said(alike)}."
        if sure:  # the first stage is what the answer itself is made by
            less = "These weights" if i else "What the score makes of the features"
            text += f" {less} hardly count{'' if i else 's'} in them."
        found.append(text)
    return found


def _low(figure: Figure) -> float:
    return figure.interval[0] if figure.interval else figure.value


def _said(figure: Figure) -> str:
    value = f"{figure.value:.2f}".replace("-", "−") if np.isfinite(figure.value) else "not defined"
    if not figure.interval:
        return f"{value} ({figure.reason})"
    low, high = (f"{end:.2f}".replace("-", "−") for end in figure.interval)
    return f"{value} (95% interval {low} to {high})"
