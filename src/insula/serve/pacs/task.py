"""A work item as the node reads it, and what it writes back of its work; no network and no database.

IHE AI Workflow for Imaging: the work item says what is to be done to which input, and where results are to go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from insula.serve.pacs.dicom_json import rows_of, text, texts
from insula.serve.pacs.peers import Peer
from insula.serve.pacs.query import is_uid

Item = Mapping[str, Any]
_MOST_INPUTS: Final = 32
_SCHEME: Final = "99INSULA"
_DETECTION: Final = ("110004", "DCM", "Computer Aided Detection")  # CID 9231, where the order says no code
_UNSPECIFIED: Final = ("110513", "DCM", "Discontinued for unspecified reason")  # CID 9300
_PRIORITIES: Final = {"HIGH": 0, "MEDIUM": 1, "LOW": 2}


class TaskError(Exception):
    """A work item that cannot be performed here. Its text is the reason that the worklist gets, and names nobody."""


@dataclass(frozen=True)
class Input:
    """What is to be looked at. series, instances: of the study, all of it where there are none. peers: that have it."""

    study_uid: str
    series: frozenset[str]
    instances: frozenset[str]
    peers: tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """One object that was made, as its receiver knows it."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str


def is_ours(item: Item, ae_title: str, models: Collection[str]) -> bool:
    """Whether a work item is for this node: by the name of its station, or where it names none by its code.

    Station names may be AE titles (PS3.3, C.30.2). models: names of recipes, of which one is the work item's code.
    """
    stations = _codes(item, "00404025")
    return ae_title in stations if stations else bool(set(models) & set(_codes(item, "00404018")))


def is_due(item: Item, at: datetime) -> bool:
    """Whether a work item waits and may begin; one whose start cannot be read may.

    A worklist that cannot search by states lists others too, which are another's or have ended.
    """
    from pydicom.valuerep import DT

    if text(item, "00741000", 16) not in ("", "SCHEDULED"):
        return False

    try:
        start = DT(text(item, "00404005", 26))
        return start is None or start.astimezone(UTC) <= at
    except (TypeError, ValueError, OverflowError):  # the last of a time that there is not in UTC: year 1, or 9999
        return True


def in_order(items: Iterable[Item]) -> list[Item]:
    """The most urgent first, then those that are to start first."""
    return sorted(items, key=lambda one: (_PRIORITIES.get(text(one, "00741200"), 1), text(one, "00404005", 26)))


def inputs_of(item: Item, peers: Mapping[str, Peer], manager: str) -> tuple[Input, ...]:
    """What a work item is about. manager: the peer whose worklist it is, which has what nobody says where it lies.

    Raises TaskError where it names nothing, or only places that are no peers of this node: it asks nobody else.
    """
    rows = rows_of(item.get("00404021"))
    found = []
    for row in rows[:_MOST_INPUTS]:
        study, places = text(row, "0020000D"), _places(row, peers)
        if text(row, "0040E020") not in ("", "DICOM") or not is_uid(study):
            raise TaskError("The input is no DICOM study.")
        if places is not None and not places:
            raise TaskError("The input lies where this node does not go; name one of its peers.")
        series = [one for one in texts(row, "0020000E") if is_uid(one)]
        instances = [uid for one in rows_of(row.get("00081199")) for uid in texts(one, "00081155")]
        found.append(Input(study, frozenset(series), frozenset(instances), places or (manager,)))
    if not found:
        raise TaskError("The work item names no input.")
    if len(rows) > _MOST_INPUTS:
        raise TaskError(f"The work item has more than {_MOST_INPUTS} inputs.")
    return tuple(found)


def destinations_of(item: Item, peers: Mapping[str, Peer]) -> tuple[str, ...]:
    """The peers that a work item wants its results at (Output Destination Sequence). Raises TaskError for others."""
    found: list[str] = []
    rows = rows_of(item.get("00404070"))
    for row in rows:
        urls = [url for one in rows_of(row.get("00404072")) for url in texts(one, "00404073", 1024)]
        titles = [title for one in rows_of(row.get("00404071")) for title in texts(one, "21000140")]
        found += _named(urls, titles, peers)
    if rows and not found:
        raise TaskError("The results are wanted where this node does not go; name one of its peers.")
    return tuple(dict.fromkeys(found))


def progress(percent: int, said: str) -> dict[str, Any]:
    """How far the work is, as a change of the work item. percent: 0 to 100."""
    return {"00741002": _sequence({"00741004": _value("DS", percent), "00741006": _value("ST", said)})}


def cancelled(reason: str, at: datetime) -> dict[str, Any]:
    """That and why the work was given up (PS3.4, table CC.2.5-3: code X)."""
    told = {
        "00404052": _moment(at),
        "00741238": _value("LT", reason[:1024]),
        "0074100E": _sequence(_code(*_UNSPECIFIED)),
    }
    return {"00741002": _sequence(told)}


def performed(
    item: Item, station: str, begun: datetime, ended: datetime, output: Sequence[Output], place: Peer
) -> dict[str, Any]:
    """What was done and made (PS3.4, table CC.2.5-3: code P), with where the objects can be had."""
    work = rows_of(item.get("00404018")) or [_code(*_DETECTION)]
    told = {
        "00404028": _sequence(_code(station, _SCHEME, f"{station} (Insula, research use only)")),
        "00404050": _moment(begun),
        "00404051": _moment(ended),
        "00404019": _sequence(*work),
        "00404033": _sequence(*_outputs(output, place)),
    }
    return {"00741216": _sequence(dict(sorted(told.items())))} | progress(100, "done")


def _outputs(output: Sequence[Output], place: Peer) -> list[dict[str, Any]]:
    by_series: dict[tuple[str, str], list[Output]] = {}
    for one in output:
        by_series.setdefault((one.study_uid, one.series_uid), []).append(one)
    return [
        {
            "00081199": _sequence(
                *(
                    {"00081150": _value("UI", one.sop_class_uid), "00081155": _value("UI", one.sop_instance_uid)}
                    for one in those
                )
            ),
            "0020000D": _value("UI", study),
            "0020000E": _value("UI", series),
            "0040E020": _value("CS", "DICOM"),
            **_where(place, study, series),
        }
        for (study, series), those in by_series.items()
    ]


def _where(place: Peer, study: str, series: str) -> dict[str, Any]:
    if place.kind == "web":
        url = f"{place.url}/studies/{study}/series/{series}"
        return {"0040E025": _sequence({"00081190": _value("UR", url)})}
    return {"0040E021": _sequence({"00080054": _value("AE", place.ae_title)})}


def _places(row: Item, peers: Mapping[str, Peer]) -> tuple[str, ...] | None:
    """The peers that have an input; None where nobody says who has it."""
    urls = [url for one in rows_of(row.get("0040E025")) for url in texts(one, "00081190", 1024)]
    titles = [title for one in rows_of(row.get("0040E021")) for title in texts(one, "00080054")]
    return tuple(_named(urls, titles, peers)) if urls or titles else None


def _named(urls: Iterable[str], titles: Iterable[str], peers: Mapping[str, Peer]) -> list[str]:
    by_url = [one.name for url in urls for one in peers.values() if one.kind == "web" and _is_at(url, one)]
    by_title = [one.name for title in titles for one in peers.values() if one.kind == "dicom" and one.ae_title == title]
    return list(dict.fromkeys([*by_url, *by_title]))


def _is_at(url: str, peer: Peer) -> bool:
    """Whether an address lies at or below a peer's, however its port is written."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return False
    if (parts.scheme, parts.hostname, port) != ("https" if peer.encrypted else "http", peer.host.lower(), peer.port):
        return False
    return parts.username is None and f"{parts.path.rstrip('/')}/".startswith(f"{peer.path}/")


def _codes(item: Item, tag: str) -> list[str]:
    return [value for one in rows_of(item.get(tag)) for value in texts(one, "00080100")]


def _code(value: str, scheme: str, meaning: str) -> dict[str, Any]:
    return {"00080100": _value("SH", value), "00080102": _value("SH", scheme), "00080104": _value("LO", meaning[:64])}


def _sequence(*items: Mapping[str, Any]) -> dict[str, Any]:
    return {"vr": "SQ", "Value": [dict(one) for one in items]} if items else {"vr": "SQ"}


def _value(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}


def _moment(at: datetime) -> dict[str, Any]:
    return _value("DT", at.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f") + "+0000")
