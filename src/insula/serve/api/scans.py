"""The scans of a study as they can be looked at, before and without any prediction: slices as PNG, volumes as NIfTI."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response, StreamingResponse

from insula.infer import heatmap
from insula.serve import laid, volumes
from insula.serve import shown as shown_scans
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.shapes import Id
from insula.serve.faults import RequestError
from insula.serve.people.visible import studies_of
from insula.serve.service import Service
from insula.serve.shown import Over
from insula.serve.store import studies
from insula.serve.store.patients import not_found
from insula.serve.store.studies import Study, StudyFile
from insula.serve.volumes import Scan

_PNG = {200: {"content": {"image/png": {}}, "description": "The picture."}}
_NIFTI = {200: {"content": {"application/gzip": {}, "application/octet-stream": {}}, "description": "NIfTI-1."}}
Name = Annotated[str, Path(max_length=50, description="The scan's name out of the list: `ct`, `ct.2`, `scan-3`.")]
Number = Annotated[int, Path(ge=1, le=100_000, description="The slice, counted from 1.")]
Level = Annotated[float | None, Query(ge=-1e7, le=1e7, allow_inf_nan=False, description="The window's middle.")]
Wide = Annotated[float | None, Query(gt=0, le=1e7, allow_inf_nan=False, description="The window's width, above 0.")]


class StudyScan(BaseModel):
    """One scan that can be looked at.

    window: the file's own, centre and width. sides_known: whether the patient's right is known to lie on the left of
    the pictures. fault: why a scan cannot be read; nothing else is known of it then.
    """

    scan: str
    role: str
    series: int | None
    modality: str
    units: str
    slices: int
    rows: int
    columns: int
    spacing_mm: tuple[float, float, float]
    window: tuple[float, float] | None
    sides_known: bool
    description: str
    warnings: list[str]
    fault: str


def routes(service: Service) -> APIRouter:
    """`/studies/{id}/scans`."""
    made = Routes(service, "/api/v1/studies/{study_id}/scans", "scans")

    def rows_of(acting: Act, connection: Connection, study_id: str) -> tuple[Study, list[StudyFile]]:
        return studies.get(connection, study_id, studies_of(acting.caller)), studies.files_of(connection, study_id)

    def found(acting: Act, study_id: str, name: str) -> Scan:
        with acting.read("scan.read", study_id, scan=name[:50]) as connection:
            study, named = rows_of(acting, connection, study_id)
        scans = volumes.study_scans(service.files, study, named, volumes.role_in(name))
        for one in scans:
            if one.name == name and one.fault:
                raise RequestError(422, "unreadable_scan", one.fault)
            if one.name == name:
                return one
        said = ", ".join([one.name for one in scans] or dict.fromkeys(one.role for one in named)) or "none: no files"
        raise RequestError(404, "not_found", f"There is no scan '{name}'; those of this study are {said}.")

    def over(acting: Act, study_id: str, one: Scan, number: int, prediction: str, name: str) -> Over:
        with acting.read("picture.read", prediction, scan=one.name) as connection:
            kept = visible_prediction(connection, acting.caller, prediction)
            if kept.study_id != study_id:
                raise not_found("prediction")
            told = laid.told(connection, kept)
            study, named = rows_of(acting, connection, study_id)
        heat = laid.matched(service.files, told, volumes.study_scans(service.files, study, named))
        if one.name not in heat or one.modality == "SM":
            raise RequestError(422, "no_heat", f"The prediction has no heat in the scan '{one.name}'; leave it out.")
        seen = heat[one.name].view
        if name not in seen.classes:
            raise RequestError(
                422, "bad_class", f"There is no class '{name[:40]}'; choose of {', '.join(seen.classes)}."
            )
        k = seen.classes.index(name)
        whole = volumes.volume_of(service.files, one)
        return Over(laid.heat_on_slice(seen, k, whole, number), heatmap.class_scale(seen.map, k))

    @made.get("", "study.read")
    def listed(acting: Acting, study_id: Id) -> list[StudyScan]:
        """The scans of a study that can be looked at, whether it was predicted or not."""
        with acting.read("scan.list", study_id) as connection:
            study, named = rows_of(acting, connection, study_id)
        return [_told(one) for one in volumes.study_scans(service.files, study, named)]

    @made.get("/{scan}/volume.nii.gz", "study.read", response_class=Response, responses=_NIFTI)
    def volume(
        acting: Acting,
        study_id: Id,
        scan: Name,
        gzip: Annotated[bool, Query(description="Compressed; `false` is faster where the network is.")] = True,
    ) -> Response:
        """The scan as it was read, in the patient's frame, as NIfTI; a tilted gantry is made upright."""
        one = found(acting, study_id, scan)
        if gzip:
            return Response(volumes.nifti_of(service.files, one), 200, _cached(one), "application/gzip")
        whole = volumes.volume_of(service.files, one)
        headers = {**_cached(one), "Content-Length": str(shown_scans.nifti_size(whole))}
        return StreamingResponse(shown_scans.nifti_blocks(whole), 200, headers, "application/octet-stream")

    @made.get("/{scan}/slices/{number}", "study.read", response_class=Response, responses=_PNG)
    def slice_picture(
        acting: Acting,
        study_id: Id,
        scan: Name,
        number: Number,
        centre: Level = None,
        width: Wide = None,
        least: Annotated[
            int, Query(ge=0, le=4096, description="Shrink to no fewer pixels than these on the shorter side.")
        ] = 0,
        prediction: Annotated[Id | None, Query(description="Whose heat is drawn over the slice.")] = None,
        heat_of: Annotated[str, Query(alias="class", max_length=120, description="Of which class.")] = "",
        opacity: Annotated[float, Query(ge=0.0, le=1.0, description="Of the strongest heat.")] = 0.7,
        above: Annotated[float, Query(ge=0.0, le=1.0, description="Share of the top below which none is drawn.")] = 0.0,
    ) -> Response:
        """A slice, counted from 1, as PNG in a window: the one asked for, else the file's own.

        With a prediction and a class its heat lies over it, without a colour bar.
        """
        if (centre is None) != (width is None):
            raise RequestError(422, "bad_window", "A window has a centre and a width; give both or neither.")
        one = found(acting, study_id, scan)
        whole = volumes.volume_of(service.files, one)
        if number > len(whole.stored):
            raise RequestError(404, "not_found", f"There is no slice {number}; the scan has {len(whole.stored)}.")
        window = None if centre is None or width is None else (centre, width)
        heat = None
        if prediction is not None:
            heat = replace(over(acting, study_id, one, number - 1, prediction, heat_of), opacity=opacity, above=above)
        data = shown_scans.slice_png(whole, number - 1, window, least, heat)
        return Response(data, 200, _cached(one), "image/png")

    return made.router


def _told(one: Scan) -> StudyScan:
    return StudyScan(
        scan=one.name,
        role=one.role,
        series=one.series,
        modality=one.modality,
        units=one.units,
        slices=one.slices,
        rows=one.rows,
        columns=one.columns,
        spacing_mm=one.spacing_mm,
        window=one.window,
        sides_known=one.sided,
        description=one.description,
        warnings=list(one.warnings),
        fault=one.fault,
    )


def _cached(one: Scan) -> dict[str, str]:
    return {"ETag": f'"{one.key[:32]}"'}
