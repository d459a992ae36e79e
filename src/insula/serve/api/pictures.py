"""Pictures and heat maps of a prediction: slices as PNG, scan and heat as NIfTI in one frame."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from insula.infer.overlay import Style
from insula.serve import view
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.predictions import visible_prediction
from insula.serve.api.shapes import Id, Scan
from insula.serve.faults import RequestError
from insula.serve.jobs.predict_study import VIEW
from insula.serve.service import Service
from insula.serve.store import predictions
from insula.serve.view import View
from insula.serve.volumes import view_of

_TOP = 5
Name = Annotated[str, Path(max_length=40, description="The scan's name: `ct`, `mri`, `ct.2`.")]
Class = Annotated[str, Query(alias="class", max_length=120, description="Whose heat is drawn.")]
_PNG = {200: {"content": {"image/png": {}}, "description": "The picture."}}
_NIFTI = {200: {"content": {"application/gzip": {}}, "description": "Gzipped NIfTI."}}


def routes(service: Service) -> APIRouter:
    """`/predictions/{id}/scans`."""
    made = Routes(service, "/api/v1/predictions/{prediction_id}/scans", "pictures")

    def found(acting: Act, prediction_id: str, scan: str) -> tuple[str, View]:
        with acting.read("picture.read", prediction_id, scan=scan[:40]) as connection:
            visible_prediction(connection, acting.caller, prediction_id)
            kept = [a for a in predictions.artefacts_of(connection, prediction_id) if a.kind == VIEW]
        for one in kept:
            if one.role == scan:
                return one.sha256, view_of(service.files, one.sha256)
        names = ", ".join(one.role for one in kept) or "none: a rejected scan has no pictures"
        raise RequestError(404, "not_found", f"There is no scan '{scan}'; those of this prediction are {names}.")

    @made.get("", "study.read")
    def listed(acting: Acting, prediction_id: Id) -> list[Scan]:
        """The scans of a prediction that pictures can be had of."""
        with acting.read("picture.list", prediction_id) as connection:
            visible_prediction(connection, acting.caller, prediction_id)
            kept = [a for a in predictions.artefacts_of(connection, prediction_id) if a.kind == VIEW]
        return [_scan(one.role, view_of(service.files, one.sha256)) for one in kept]

    @made.get("/{scan}/slices/{number}", "study.read", response_class=Response, responses=_PNG)
    def slice_picture(
        acting: Acting,
        prediction_id: Id,
        scan: Name,
        number: Annotated[int, Path(ge=1, le=100_000)],
        heat_of: Class = "",
        opacity: Annotated[float, Query(ge=0.0, le=1.0)] = 0.7,
        colours: Literal["inferno", "viridis", "turbo"] = "inferno",
        least: Annotated[int, Query(ge=0, le=2048, description="Pixels of the shorter side at least.")] = 384,
    ) -> Response:
        """A slice, counted from 1, as PNG; with the heat of a class over it and a colour bar."""
        sha256, shown = found(acting, prediction_id, scan)
        if number > len(shown.slices):
            raise RequestError(404, "not_found", f"There is no slice {number}; the scan has {len(shown.slices)}.")
        _check_class(shown, heat_of)
        data = view.slice_png(shown, number - 1, heat_of, Style(colours, opacity, least))
        return Response(data, 200, _cached(sha256), "image/png")

    @made.get("/{scan}/scan.nii.gz", "study.read", response_class=Response, responses=_NIFTI)
    def scan_nifti(acting: Acting, prediction_id: Id, scan: Name) -> Response:
        """The slices as the network saw them, in their place in the patient, as NIfTI."""
        sha256, shown = found(acting, prediction_id, scan)
        return Response(view.scan_nifti(shown), 200, _cached(sha256), "application/gzip")

    @made.get("/{scan}/heat.nii.gz", "study.read", response_class=Response, responses=_NIFTI)
    def heat_nifti(acting: Acting, prediction_id: Id, scan: Name, heat_of: Class) -> Response:
        """A class's heat on the grid of `scan.nii.gz`, as NIfTI."""
        sha256, shown = found(acting, prediction_id, scan)
        if not heat_of:
            raise RequestError(422, "bad_class", f"Name a class: {', '.join(shown.classes)}.")
        _check_class(shown, heat_of)
        return Response(view.heat_nifti(shown, heat_of), 200, _cached(sha256), "application/gzip")

    return made.router


def _check_class(shown: View, name: str) -> None:
    if name and name not in shown.classes:
        raise RequestError(422, "bad_class", f"There is no class '{name[:40]}'; choose of {', '.join(shown.classes)}.")


def _scan(name: str, shown: View) -> Scan:
    return Scan(
        scan=name,
        slices=len(shown.slices),
        rows=shown.slices.shape[1],
        columns=shown.slices.shape[2],
        classes=list(shown.classes),
        top={c: [n + 1 for n in view.top(shown, c, _TOP)] for c in shown.classes},
        weights={n + 1: round(float(w), 6) for n, w in zip(shown.numbers, shown.weights, strict=True)},
    )


def _cached(sha256: str) -> dict[str, str]:
    return {"ETag": f'"{sha256[:32]}"'}
