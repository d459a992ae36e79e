"""Why cases were referred or rejected, and whether that paid: how often the answers that were held back were wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from insula.evaluate.facts import Bools, Facts
from insula.evaluate.outcome import HeldBack, Reason
from insula.evaluate.policy import right
from insula.evaluate.table import Sample
from insula.metrics import proportion
from insula.metrics.intervals import Figure

if TYPE_CHECKING:
    import pandas as pd

COLUMN = "reason_kinds"
_ACTIONS = ("refer", "reject")


def judge(table: pd.DataFrame, rows: Sample, facts: Facts, refused: Sequence[tuple[str, str]] = ()) -> HeldBack | None:
    """What became of wrong answers, as a whole and for each kind of reason.

    refused: patient and kind of refusal of each case that was rejected before the model was asked; those are in no
    table, and count in the shares of cases. None where the table has no column `reason_kinds`, and where every case was
    accepted.
    """
    if COLUMN not in table.columns or "action" not in table.columns:
        return None
    action = table["action"].astype(str).tolist()
    kinds = [tuple(one for one in text.split(";") if one) for text in table[COLUMN].fillna("").astype(str)]
    wrong, whole = ~right(rows, facts), np.ones(len(kinds), dtype=bool)
    owners = np.concatenate([rows.patients, [patient for patient, _ in refused]]) if refused else rows.patients
    every = np.ones(len(owners), dtype=bool)
    single = np.array([len(held) == 1 for held in kinds], dtype=bool)

    def share(asked: Bools, before: Bools) -> Figure:
        return proportion.figure(np.concatenate([asked, before]), every, owners, "no case")

    def errors(among: Bools, nothing: str) -> Figure:
        return proportion.figure(wrong, among, rows.patients, nothing)

    def reason(act: str, kind: str) -> Reason:
        here = np.array([a == act and kind in held for a, held in zip(action, kinds, strict=True)], dtype=bool)
        before = np.array([act == "reject" and kind == why for _, why in refused], dtype=bool)
        held, off = share(here, before), errors(here, "the model was not asked")
        if act == "reject":
            return Reason(kind, act, held, off, None, None)
        return Reason(kind, act, held, off, share(here & single, before), errors(here & single, "no such case"))

    found = tuple(reason(act, kind) for act, kind in _counted(action, kinds, refused))
    if not found:
        return None
    accepted, referred = (np.array([a == name for a in action], dtype=bool) for name in ("accept", "refer"))
    return HeldBack(
        asked=proportion.figure(~accepted, whole, rows.patients, "no case"),
        caught=proportion.figure(~accepted, wrong, rows.patients, "no answer is wrong"),
        accepted=errors(accepted, "no case was accepted"),
        referred=errors(referred, "no case was referred"),
        reasons=found,
    )


def _counted(
    action: Sequence[str], kinds: Sequence[tuple[str, ...]], refused: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Actions and kinds in the order in which they are shown: referrals, then rejections, the commonest first."""
    counts = Counter((act, kind) for act, held in zip(action, kinds, strict=True) for kind in set(held))
    counts.update(("reject", kind) for _, kind in refused)
    known = [(act, kind) for act, kind in counts if act in _ACTIONS]
    return sorted(known, key=lambda one: (_ACTIONS.index(one[0]), -counts[one], one[1]))
