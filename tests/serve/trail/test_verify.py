"""The verdict in words: what holds, how far, and which heads say so, in every case there is."""

from __future__ import annotations

import pytest

from insula.serve.trail.chain import Fault
from insula.serve.trail.verify import Verdict

pytestmark = pytest.mark.serve

CHANGED = Fault(42, "changed", "entry 42 is not as it was written.")
FIRST = Fault(1, "changed", "entry 1 is not as it was written.")
CUT = Fault(6, "cut", "the trail ends with 5, and a head was signed for 9: its end was cut off.")
MADE = "each was made with the key and follows the one before."


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            Verdict(20, 20, 3, 0, True, None),
            f"Entries 1 to 20 hold: {MADE} The last of 3 heads that was reached vouches for entries 1 to 20.",
        ),
        (
            Verdict(20, 12, 1, 0, True, None),
            f"Entries 1 to 20 hold: {MADE} The one head vouches for entries 1 to 12; entries 13 to 20 came after it, "
            "and a cut there could not be seen.",
        ),
        (
            Verdict(2, 1, 1, 0, True, None),
            f"Entries 1 to 2 hold: {MADE} The one head vouches for entry 1; entry 2 came after it, and a cut there "
            "could not be seen.",
        ),
        (
            Verdict(1, 0, 0, 0, True, None),
            f"Entry 1 holds: {MADE} This is by the chain only: no head is kept where INSULA_TRAIL_HEADS says, so it "
            "cannot be seen whether entries were cut off at the end.",
        ),
        (
            Verdict(0, 0, 0, 0, True, None),
            "The trail has no entry. This is by the chain only: no head is kept where INSULA_TRAIL_HEADS says, so it "
            "cannot be seen whether entries were cut off at the end.",
        ),
        (
            Verdict(41, 0, 2, 0, True, CHANGED),
            "Fault at entry 42 (changed): entry 42 is not as it was written. What comes after it was not judged. "
            f"Entries 1 to 41 hold: {MADE} No head vouches for any of them: all 2 heads are of later ones.",
        ),
        (
            Verdict(41, 0, 1, 0, True, CHANGED),
            "Fault at entry 42 (changed): entry 42 is not as it was written. What comes after it was not judged. "
            f"Entries 1 to 41 hold: {MADE} No head vouches for any of them: the one head is of a later one.",
        ),
        (
            Verdict(0, 0, 1, 0, True, FIRST),
            "Fault at entry 1 (changed): entry 1 is not as it was written. So not one entry holds.",
        ),
        (
            Verdict(5, 4, 2, 0, True, CUT),
            "Fault at entry 6 (cut): the trail ends with 5, and a head was signed for 9: its end was cut off. Entries "
            f"1 to 5 hold: {MADE} The last of 2 heads that was reached vouches for entries 1 to 4; entry 5 came after "
            "it, and a cut there could not be seen.",
        ),
        (
            Verdict(41, 0, 0, 0, True, CHANGED),
            "Fault at entry 42 (changed): entry 42 is not as it was written. What comes after it was not judged. "
            f"Entries 1 to 41 hold: {MADE} This is by the chain only: no head is kept where INSULA_TRAIL_HEADS says.",
        ),
        (
            Verdict(7, 0, 0, 2, True, None),
            "Among the heads, 2 cannot be read or were not signed with this key. "
            f"Entries 1 to 7 hold: {MADE} This is by the chain only: no head can be trusted where INSULA_TRAIL_HEADS "
            "says, so it cannot be seen whether entries were cut off at the end.",
        ),
        (
            Verdict(7, 7, 1, 1, False, None),
            "Among the heads, 1 cannot be read or was not signed with this key. "
            "Entries 1 to 7 hold: each follows the one before. The one head vouches for entries 1 to 7.",
        ),
        (
            Verdict(7, 3, 1, 0, False, None),
            "Entries 1 to 7 hold: each follows the one before. The one head vouches for entries 1 to 3; without the "
            "key, entries 4 to 7 cannot be judged.",
        ),
    ],
)
def test_the_verdict_says_what_was_checked_and_by_which_heads(verdict: Verdict, said: str) -> None:
    assert verdict.said() == said
    assert verdict.holds == (verdict.fault is None and not verdict.spoilt)
