"""Objects to a peer by C-STORE, as they lie in their files (PS3.4 Annex B)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pydicom
from pydicom.uid import UID
from pynetdicom import _config
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.status import STORAGE_SERVICE_CLASS_STATUS

from insula.serve.pacs.association import Opened, opened, status_of
from insula.serve.pacs.contexts import PLAIN
from insula.serve.pacs.outcome import NOT_SUPPORTED, Outcome, Ready, Sent
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import printable
from insula.serve.pacs.settings import PacsSettings

_KINDS: Final = 64  # pairs of class and transfer syntax in one association, two presentation contexts each

_config.STORE_SEND_CHUNKED_DATASET = True  # a file is sent as its bytes are, piece by piece


def store(
    settings: PacsSettings,
    peer: Peer,
    objects: Sequence[Ready],
    told: Sent | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Outcome]:
    """Send objects; an outcome for each that was sent or could not be, in groups by their kinds.

    An uncompressed object is written anew where the peer takes it in another uncompressed transfer syntax alone.
    Raises PeerUnreachableError, PeerRefusedError, PeerAnswerError.
    """
    done: list[Outcome] = []
    for group in _groups(objects):
        contexts = _contexts(group)
        with opened(settings, peer, contexts) as found:
            for number, one in enumerate(group):
                if cancelled():
                    return done
                outcome = _sent(found, one, number % 65535 + 1)
                done.append(outcome)
                if told is not None:
                    told(outcome)
    return done


def _sent(found: Opened, one: Ready, number: int) -> Outcome:
    offered = {
        str(c.transfer_syntax[0]) for c in found.association.accepted_contexts if c.abstract_syntax == one.sop_class_uid
    }
    if one.transfer_syntax_uid in offered:
        status = found.association.send_c_store(one.path, number)
    elif offered and not UID(one.transfer_syntax_uid).is_compressed:
        status = found.association.send_c_store(pydicom.dcmread(one.path), number)
    else:
        what = UID(one.transfer_syntax_uid if offered else one.sop_class_uid).name
        return Outcome(one, NOT_SUPPORTED, f"the peer takes no {printable(what, 80)}")
    code = status_of(found, status)
    meaning = STORAGE_SERVICE_CLASS_STATUS.get(code, ("", ""))[1]
    return Outcome(one, code, meaning if code else "")


def _contexts(group: Sequence[Ready]) -> list[PresentationContext]:
    kinds = dict.fromkeys((one.sop_class_uid, one.transfer_syntax_uid) for one in group)
    own = [build_context(kind, [syntax]) for kind, syntax in kinds]
    plain = dict.fromkeys(kind for kind, syntax in kinds if not UID(syntax).is_compressed)
    return [*own, *(build_context(kind, PLAIN) for kind in plain)]


def _groups(objects: Sequence[Ready]) -> Iterator[list[Ready]]:
    """Objects in groups of few enough kinds for one association."""
    by_kind: dict[tuple[str, str], list[Ready]] = {}
    for one in objects:
        by_kind.setdefault((one.sop_class_uid, one.transfer_syntax_uid), []).append(one)
    kinds = list(by_kind.values())
    for start in range(0, len(kinds), _KINDS):
        yield [one for kind in kinds[start : start + _KINDS] for one in kind]
