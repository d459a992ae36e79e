"""QIDO-RS (PS3.18, section 10.6): searching the studies, series and objects of what the service made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from insula.serve.api.guard import Acting, Routes
from insula.serve.dicomweb import objects
from insula.serve.dicomweb.match import Search, fit, page, search_of, shown
from insula.serve.dicomweb.media import DicomJson, element, require_json, warned
from insula.serve.dicomweb.objects import Object
from insula.serve.dicomweb.places import QUIET, Uid, place, root_of
from insula.serve.faults import RequestError
from insula.serve.service import Service

Level = Literal["study", "series", "instance"]
# what an answer always has (PS3.18, tables 10.6.3-3 to 10.6.3-5), as far as the objects say it
_STUDY: Final = (
    "00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00080201", "00081190",
    "00100010", "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
)  # fmt: skip
_SERIES: Final = (
    "00080005", "00080060", "00080201", "0008103E", "00081190", "0020000D", "0020000E", "00200011", "00201209",
    "00400244", "00400245",
)  # fmt: skip
_INSTANCE: Final = (
    "00080005", "00080016", "00080018", "00080056", "00080201", "00081190", "0020000D", "0020000E", "00200013",
    "00280008", "00280010", "00280011", "00280100",
)  # fmt: skip
_MOST_READ: Final = 500  # objects whose headers one search reads


def routes(service: Service) -> APIRouter:
    """The searches below `/dicom-web`."""
    made = Routes(service, "/dicom-web", "dicomweb")

    @made.get("/studies", "study.read", **QUIET)
    def studies(request: Request, acting: Acting) -> Response:
        """QIDO-RS: the studies to which the service made objects."""
        return _searched(service, request, acting, ("study",))

    @made.get("/series", "study.read", **QUIET)
    def series(request: Request, acting: Acting) -> Response:
        """QIDO-RS: the series that the service made, with attributes of their studies."""
        return _searched(service, request, acting, ("study", "series"))

    @made.get("/instances", "study.read", **QUIET)
    def instances(request: Request, acting: Acting) -> Response:
        """QIDO-RS: the objects that the service made, with attributes of their studies and series."""
        return _searched(service, request, acting, ("study", "series", "instance"))

    @made.get("/studies/{study}/series", "study.read", **QUIET)
    def series_of(request: Request, acting: Acting, study: Uid) -> Response:
        """QIDO-RS: the series that the service made in a study."""
        return _searched(service, request, acting, ("series",), study)

    @made.get("/studies/{study}/instances", "study.read", **QUIET)
    def instances_of(request: Request, acting: Acting, study: Uid) -> Response:
        """QIDO-RS: the objects that the service made in a study."""
        return _searched(service, request, acting, ("series", "instance"), study)

    @made.get("/studies/{study}/series/{series}/instances", "study.read", **QUIET)
    def instances_of_series(request: Request, acting: Acting, study: Uid, series: Uid) -> Response:
        """QIDO-RS: the objects of a series that the service made."""
        return _searched(service, request, acting, ("instance",), study, series)

    return made.router


def _searched(
    service: Service, request: Request, acting: Acting, levels: Sequence[Level], study: str = "", series: str = ""
) -> Response:
    require_json(request)
    search = search_of(request)
    study = study or search.value("0020000D")
    series = series or search.value("0020000E")
    with acting.read("dicomweb.search") as connection:
        found, more = objects.find(connection, acting.caller, study, series, search.value("00080018"))
        rows = _rows(service, found, levels, search, root_of(request))
        given, rest = page(rows, search)
        acting.told(rows=len(given))
    said = {}
    if more or rest:
        said = warned(f"There are {'many' if more else rest} additional results that can be requested")
    elif search.fuzzy:
        said = warned("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    return DicomJson(given, headers=said) if given else Response(status_code=204, headers=said)


def _rows(
    service: Service, found: Sequence[Object], levels: Sequence[Level], search: Search, root: str
) -> list[dict[str, Any]]:
    """One row for each study, series or object that fits; the headers of one object are those of its study."""
    always = {tag for level in levels for tag in {"study": _STUDY, "series": _SERIES, "instance": _INSTANCE}[level]}
    groups = _grouped(found, levels[-1])
    if len(groups) > _MOST_READ:
        groups = _narrowed(groups, search)
    within = _counts(found)
    rows = []
    for number, group in enumerate(groups):
        if number >= _MOST_READ:
            raise RequestError(
                413, "too_many", f"The search looks through more than {_MOST_READ} objects; name a study or a modality."
            )
        one = min(group, key=lambda each: each.size)
        item = {**objects.headers(service, one), **_own(one, levels[-1], within, root)}
        if fit(search.keys, item):
            rows.append(shown(item, always, search))
    return rows


def _grouped(found: Iterable[Object], level: Level) -> list[list[Object]]:
    groups: dict[str, list[Object]] = defaultdict(list)
    for one in found:
        groups[{"study": one.study_uid, "series": one.series_uid, "instance": one.sop_instance_uid}[level]].append(one)
    return list(groups.values())


def _narrowed(groups: list[list[Object]], search: Search) -> list[list[Object]]:
    """Those groups that may fit by what the records know, without a look at the objects."""
    modality, kind = search.value("00080060") or search.value("00080061"), search.value("00080016")
    return [
        group
        for group in groups
        if any((not modality or one.modality == modality) and (not kind or one.sop_class_uid == kind) for one in group)
    ]


def _counts(found: Sequence[Object]) -> Mapping[str, Any]:
    series: dict[str, set[str]] = defaultdict(set)
    objects_of: dict[str, int] = defaultdict(int)
    modalities: dict[str, set[str]] = defaultdict(set)
    for one in found:
        series[one.study_uid].add(one.series_uid)
        modalities[one.study_uid].add(one.modality)
        objects_of[one.study_uid] += 1
        objects_of[one.series_uid] += 1
    return {"series": series, "objects": objects_of, "modalities": modalities}


def _own(one: Object, level: Level, within: Mapping[str, Any], root: str) -> dict[str, Any]:
    """What the service itself knows of a study, a series or an object."""
    where = {
        "study": place(root, one.study_uid),
        "series": place(root, one.study_uid, one.series_uid),
        "instance": place(root, one.study_uid, one.series_uid, one.sop_instance_uid),
    }[level]
    return {
        "00080056": element("CS", "ONLINE"),
        "00080061": element("CS", *sorted(within["modalities"][one.study_uid])),
        "00081190": element("UR", where),
        "00201206": element("IS", len(within["series"][one.study_uid])),
        "00201208": element("IS", within["objects"][one.study_uid]),
        "00201209": element("IS", within["objects"][one.series_uid]),
    }
