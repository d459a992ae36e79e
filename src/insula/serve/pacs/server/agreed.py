"""Which presentation contexts the node accepts: every storage class in every transfer syntax that brings its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

from pydicom import uid
from pydicom.uid import UID_dictionary  # type: ignore[attr-defined] # it is not said to be public, and stands there

from insula.serve.pacs.server.units import Answered, Proposed

VERIFICATION: Final = "1.2.840.10008.1.1"
COMMITMENT: Final = "1.2.840.10008.1.20.1"
_PLAIN: Final = (str(uid.ExplicitVRLittleEndian), str(uid.ImplicitVRLittleEndian))
_ELSEWHERE: Final = ("JPIP", "SMPTE")  # syntaxes whose pixels are not in the object but at an address, or in a stream
_NO_OBJECTS: Final = ("MediaStorageDirectoryStorage",)
ACCEPTED, NO_CLASS, NO_SYNTAX = 0, 3, 4  # PS3.8, table 9-18


@cache
def classes() -> frozenset[str]:
    """SOP classes of which objects are stored, those that the standard has retired as well (PS3.4, B.5; PS3.6, A)."""
    return frozenset(
        name
        for name, (title, kind, _, _, keyword) in UID_dictionary.items()
        if kind == "SOP Class"
        and "Storage" in title
        and not title.startswith("Storage ")  # commitment
        and keyword not in _NO_OBJECTS
    )


@cache
def syntaxes() -> frozenset[str]:
    """Transfer syntaxes in which objects are stored as they come."""
    return frozenset(
        str(name) for name in uid.AllTransferSyntaxes if not UID_dictionary[name][4].startswith(_ELSEWHERE)
    )


def answers(
    contexts: Iterable[Proposed], barred: Callable[[str], bool] = lambda name: False
) -> dict[int, tuple[Answered, str]]:
    """By a context's number: what is answered, and its SOP class.

    barred: whether a SOP class is not taken of this caller. A context that is refused has senders leave out its
    objects, where many of them end an association on the first object that is refused.

    Uncompressed is preferred where a caller leaves the choice: it has whoever sends unpack what it keeps packed.
    """
    return {one.number: (_answer(one, barred), one.abstract) for one in contexts}


def _answer(one: Proposed, barred: Callable[[str], bool]) -> Answered:
    stored = one.abstract in classes() and not barred(one.abstract)
    if not stored and one.abstract not in (VERIFICATION, COMMITMENT):
        return Answered(one.number, NO_CLASS, _PLAIN[1])
    usable = [name for name in one.syntaxes if name in (syntaxes() if stored else _PLAIN)]
    preferred = [name for name in _PLAIN if name in usable]
    chosen = next(iter(preferred + usable), None)
    return Answered(one.number, NO_SYNTAX, _PLAIN[1]) if chosen is None else Answered(one.number, ACCEPTED, chosen)
