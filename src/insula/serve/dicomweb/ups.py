"""What a unified procedure step has to have, and how its state may change (PS3.4, Annex CC).

Work items are kept in the DICOM JSON model; everything here is a function of that, with no database and no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from insula.serve.dicomweb.media import element, warned
from insula.serve.dicomweb.payload import Attributes, is_uid, wrong
from insula.serve.faults import RequestError

State = Literal["SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED"]
STATES: Final[tuple[State, ...]] = ("SCHEDULED", "IN PROGRESS", "COMPLETED", "CANCELED")
FINAL: Final = frozenset({"COMPLETED", "CANCELED"})
PUSH: Final = "1.2.840.10008.5.1.4.34.6.1"  # the SOP Class of every instance (PS3.4, section CC.3.1.1)

CLASS, UID, TRANSACTION, STATE = "00080016", "00080018", "00081195", "00741000"
LABEL, WORKLIST, PRIORITY, START, READY = "00741204", "00741202", "00741200", "00404005", "00404041"
MODIFIED, STUDY, INPUT, OUTPUT, WORK = "00404010", "0020000D", "00404021", "00404033", "00404018"
PROGRESS, PERFORMED = "00741002", "00741216"
CANCELLED_AT, REASON, REASON_CODE, CONTACT, CONTACT_URI = "00404052", "00741238", "0074100E", "0074100C", "0074100A"
BEGUN, ENDED, DID, STATION = "00404050", "00404051", "00404019", "00404028"

# PS3.4, table CC.2.5-3, column N-CREATE: what has to have a value, and what may be empty and is then put in empty
_NEEDED: Final = {
    PRIORITY: frozenset({"HIGH", "MEDIUM", "LOW"}),
    LABEL: None,
    START: None,
    READY: frozenset({"INCOMPLETE", "UNAVAILABLE", "READY"}),
    STATE: frozenset({"SCHEDULED"}),
}
_EMPTY: Final = {
    "00081080": "LO", "00081084": "SQ", "00100010": "PN", "00100020": "LO", "00100030": "DA", "00100040": "CS",
    "00380010": "LO", "00380014": "SQ", "00400400": "LT", WORK: "SQ", INPUT: "SQ", "00404025": "SQ", "00404026": "SQ",
    "00404027": "SQ", "0040A370": "SQ", PROGRESS: "SQ", "00741210": "SQ", PERFORMED: "SQ",
}  # fmt: skip
_NOT_YET: Final = (PROGRESS, PERFORMED)  # empty in a new work item
_FIXED: Final = frozenset(
    {CLASS, UID, STATE, MODIFIED, STUDY, "00100010", "00100020", "00100021", "00100030", "00100040", "0040A370"}
)
# the same table, column Final State: R in both states, P where it is COMPLETED, X where it is CANCELED
_ALWAYS: Final = (PRIORITY, MODIFIED, START, READY)
_WHEN_DONE: Final = (STATION, BEGUN, DID, ENDED, OUTPUT)
_WHEN_CANCELLED: Final = (CANCELLED_AT, REASON_CODE)
UNSPECIFIED: Final = {  # CID 9300
    "00080100": element("SH", "110513"),
    "00080102": element("SH", "DCM"),
    "00080104": element("LO", "Discontinued for unspecified reason"),
}


def first(item: Mapping[str, Any], tag: str) -> Any:
    """An attribute's first value, "" where it has none."""
    values = (item.get(tag) or {}).get("Value") or [""]
    return values[0]


def moment(at: datetime) -> dict[str, Any]:
    """An instant as an attribute (VR DT), in UTC and with its offset."""
    return element("DT", at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f") + "+0000")


def created(given: Attributes, uid: str, worklist: str, at: datetime) -> tuple[Attributes, bool]:
    """A new work item out of what was sent, and whether something was put in (N-CREATE, PS3.4 section CC.2.5).

    Raises RequestError 400 for an attribute that is missing, or has no value or one that it may not have.
    """
    if first(given, CLASS) not in ("", PUSH):
        raise wrong(f"{CLASS} is another class than that of work items, {PUSH}")
    if first(given, TRANSACTION):
        raise wrong(f"{TRANSACTION} has a value, and a new work item is nobody's")
    for tag, allowed in _NEEDED.items():
        value = first(given, tag)
        if not value or (allowed is not None and value not in allowed):
            said = f"one of {', '.join(sorted(allowed))}" if allowed else "a value"
            raise wrong(f"{tag} has to have {said}")
    for tag in _NOT_YET:
        if first(given, tag):
            raise wrong(f"{tag} has a value, and nothing was done yet")
    item = {tag: told for tag, told in given.items() if tag != TRANSACTION}
    item |= {tag: element(vr) for tag, vr in _EMPTY.items() if tag not in item}
    if not first(item, WORKLIST):
        item[WORKLIST] = element("LO", worklist)
    mended = any(tag not in given for tag in item)
    item |= {CLASS: element("UI", PUSH), UID: element("UI", uid), MODIFIED: moment(at)}
    return dict(sorted(item.items())), mended


def updated(item: Attributes, state: str, changes: Attributes, holds: bool, said: str, at: datetime) -> Attributes:
    """A work item with changes (N-SET, PS3.4 section CC.2.6). holds: whether the sender showed its transaction UID.

    said: the transaction UID that was shown, "" for none. Raises RequestError 400 and 409 with the warning that PS3.18,
    section 11.6.3.2 has for it.
    """
    if state in FINAL:
        raise refused(400, "The submitted request is inconsistent with the current state of the Workitem.")
    if state == "IN PROGRESS" and not holds:
        raise refused(400, "The Transaction UID is incorrect." if said else "The Transaction UID is missing.")
    if state == "SCHEDULED" and said:
        raise refused(409, "The target URI did not reference a claimed Workitem.")
    fixed = sorted(_FIXED & changes.keys())
    if fixed:
        raise wrong(f"{fixed[0]} cannot be changed by an update")
    changed = item | {tag: told for tag, told in changes.items() if tag != TRANSACTION}
    for tag, allowed in _NEEDED.items():
        if tag in changes and (not first(changed, tag) or (allowed is not None and first(changed, tag) not in allowed)):
            raise wrong(f"{tag} has a value that it may not have")
    if state == "SCHEDULED":
        changed[MODIFIED] = moment(at)
    return dict(sorted(changed.items()))


def moved(item: Attributes, state: State, target: str, holds: bool) -> str:
    """Whether a state may become another one (PS3.4, table CC.1.1-2); a warning where it already is that one, else "".

    Raises RequestError 400 and 409 with the warning of PS3.18, section 11.7.3.2.
    """
    conflict = "The submitted request is inconsistent with the state of the UPS Instance."
    if target not in ("IN PROGRESS", "COMPLETED", "CANCELED"):
        raise refused(400, conflict)
    if target == "IN PROGRESS":
        if state != "SCHEDULED":
            raise refused(409, conflict)
        return ""
    if state == "SCHEDULED":
        raise refused(409, conflict)
    if not holds:
        raise refused(400, "The Transaction UID is incorrect.")
    if state in FINAL and state != target:
        raise refused(409, conflict)
    if state == target:
        return f"The UPS is already in the requested state of {target}."
    missing = unmet(item, target)
    if missing:
        raise refused(409, conflict, f"{missing} has no value, which a work item that is {target} has to have")
    return ""


def unmet(item: Mapping[str, Any], target: str) -> str:
    """The first attribute that a final state asks for and that has no value, "" where none is missing."""
    absent = [tag for tag in _ALWAYS if not first(item, tag)]
    done, progress = first(item, PERFORMED) or {}, first(item, PROGRESS) or {}
    if target == "COMPLETED":
        absent += [] if done else [PERFORMED]
        absent += [tag for tag in _WHEN_DONE if not first(done, tag)]
    else:
        absent += [] if progress else [PROGRESS]
        absent += [tag for tag in _WHEN_CANCELLED if not first(progress, tag)]
    return absent[0] if absent else ""


def cancelled(item: Attributes, asked: Attributes, at: datetime) -> Attributes:
    """A work item that nobody has begun, cancelled as somebody asked (PS3.4, section CC.2.2)."""
    progress: dict[str, Any] = dict(first(item, PROGRESS) or {})
    progress[CANCELLED_AT] = moment(at)
    progress[REASON_CODE] = asked[REASON_CODE] if first(asked, REASON_CODE) else element("SQ", UNSPECIFIED)
    if first(asked, REASON):
        progress[REASON] = asked[REASON]
    contact = {tag: asked[tag] for tag in (CONTACT, CONTACT_URI) if first(asked, tag)}
    if CONTACT_URI in contact:
        progress["00741008"] = element("SQ", contact)
    return dict(sorted((item | {PROGRESS: element("SQ", dict(sorted(progress.items())))}).items()))


def refused(status: int, message: str, why: str = "") -> RequestError:
    """A request that does not go with a work item's state, with the warning of the standard."""
    return RequestError(status, "workitem_state", f"{message[:-1]}{': ' + why if why else ''}.", warned(message))


def transaction_of(given: Mapping[str, Any], query: Mapping[str, str]) -> str:
    """The transaction UID that a request shows, in its data set or query, "" for none. Raises RequestError 400."""
    bare = next((name for name, value in query.items() if not value and is_uid(name)), "")
    found = str(first(given, TRANSACTION)) or query.get("transaction-uid", "") or bare
    if found and not is_uid(found):
        raise refused(400, "The Transaction UID is incorrect.")
    return found


def name_of(given: Mapping[str, Any], query: Mapping[str, str]) -> str:
    """The UID that a new work item gets: of the query, or of its data set. Raises RequestError 400 for none."""
    bare = next((name for name, value in query.items() if not value and is_uid(name)), "")
    found = query.get("workitem") or query.get("AffectedSOPInstanceUID") or bare or str(first(given, UID))
    if not is_uid(found):
        raise wrong("its work item has no UID; send ?workitem=UID")
    return found
