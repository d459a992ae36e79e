"""WADO-RS (PS3.18, section 10.4): what the service made, as DICOM files or as metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.dicomweb import objects
from insula.serve.dicomweb.media import DICOM, RELATED, DicomJson, Media, accepted, not_acceptable, require_json
from insula.serve.dicomweb.multipart import written
from insula.serve.dicomweb.objects import Object
from insula.serve.dicomweb.places import QUIET, Uid
from insula.serve.faults import RequestError
from insula.serve.service import Service

_EXPLICIT = "1.2.840.10008.1.2.1"  # what is meant where no transfer syntax is asked for (PS3.18, section 8.7.3.5.2)
_MOST_METADATA = 500


def routes(service: Service) -> APIRouter:
    """The retrievals below `/dicom-web`."""
    made = Routes(service, "/dicom-web", "dicomweb")

    @made.get("/studies/{study}", "study.read", **QUIET)
    def of_study(request: Request, acting: Acting, study: Uid) -> Response:
        """WADO-RS: all objects that the service made in a study."""
        return _files(service, request, acting, study)

    @made.get("/studies/{study}/series/{series}", "study.read", **QUIET)
    def of_series(request: Request, acting: Acting, study: Uid, series: Uid) -> Response:
        """WADO-RS: the objects of a series that the service made."""
        return _files(service, request, acting, study, series)

    @made.get("/studies/{study}/series/{series}/instances/{instance}", "study.read", **QUIET)
    def one(request: Request, acting: Acting, study: Uid, series: Uid, instance: Uid) -> Response:
        """WADO-RS: one object that the service made."""
        return _files(service, request, acting, study, series, instance)

    @made.get("/studies/{study}/metadata", "study.read", **QUIET)
    def metadata_of_study(request: Request, acting: Acting, study: Uid) -> Response:
        """WADO-RS: the attributes of the objects that the service made in a study, without bulk data."""
        return _metadata(service, request, acting, study)

    @made.get("/studies/{study}/series/{series}/metadata", "study.read", **QUIET)
    def metadata_of_series(request: Request, acting: Acting, study: Uid, series: Uid) -> Response:
        """WADO-RS: the attributes of the objects of a series, without bulk data."""
        return _metadata(service, request, acting, study, series)

    @made.get("/studies/{study}/series/{series}/instances/{instance}/metadata", "study.read", **QUIET)
    def metadata_of_one(request: Request, acting: Acting, study: Uid, series: Uid, instance: Uid) -> Response:
        """WADO-RS: the attributes of one object, without bulk data."""
        return _metadata(service, request, acting, study, series, instance)

    return made.router


def _files(
    service: Service, request: Request, acting: Act, study: str, series: str = "", instance: str = ""
) -> Response:
    wanted = _wanted(request, single=bool(instance))
    found = _found(acting, study, series, instance)
    syntax = wanted.parameters.get("transfer-syntax", _EXPLICIT)
    for one in found:
        has = _syntax(service, one)
        if syntax not in ("*", has):
            raise not_acceptable(f'{DICOM}; transfer-syntax="{has}"')
    if wanted.kind == DICOM:
        return StreamingResponse(service.files.blocks(found[0].sha256), media_type=DICOM)
    kind, blocks = written(_each(service, found), DICOM)
    return StreamingResponse(blocks, media_type=kind)


def _metadata(
    service: Service, request: Request, acting: Act, study: str, series: str = "", instance: str = ""
) -> Response:
    require_json(request)
    found = _found(acting, study, series, instance)
    if len(found) > _MOST_METADATA:
        raise RequestError(413, "too_many", f"There are more than {_MOST_METADATA} objects; ask by series.")
    return DicomJson([objects.metadata(service, one) for one in found])


def _found(acting: Act, study: str, series: str, instance: str) -> list[Object]:
    with acting.read("dicomweb.retrieve") as connection:
        found = objects.must_find(connection, acting.caller, study, series, instance)
        predictions = sorted({one.prediction_id for one in found})
        acting.told(predictions[0] if len(predictions) == 1 else "", objects=len(found), predictions=predictions[:20])
    return found


def _wanted(request: Request, single: bool) -> Media:
    """How the sender takes DICOM files. Raises RequestError 406 where he takes something else alone."""
    for media in accepted(request):
        if media.kind in ("*/*", "multipart/*"):
            return Media(RELATED, {"transfer-syntax": "*"})
        if media.kind == RELATED and media.parameters.get("type", DICOM).lower() == DICOM:
            return media
        if single and media.kind == DICOM:
            return media
    raise not_acceptable(f'{RELATED}; type="{DICOM}"')


def _each(service: Service, found: Sequence[Object]) -> Iterator[Iterator[bytes]]:
    for one in found:
        yield service.files.blocks(one.sha256)


def _syntax(service: Service, one: Object) -> str:
    return str(objects.headers(service, one)["00083002"]["Value"][0])
