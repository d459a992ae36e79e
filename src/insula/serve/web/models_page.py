"""Models: which there are and what they do, one of them as a whole, and two of them against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from starlette.responses import HTMLResponse

from insula.metrics.compare import Comparison
from insula.serve.answers import INTENDED_USE
from insula.serve.api.guard import Act, Acting, Routes
from insula.serve.api.models import HEX, shown
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.models.compare import Compared, compare
from insula.serve.models.loaded import Loaded
from insula.serve.models.offered import graph_bytes, offered
from insula.serve.service import Service
from insula.serve.web import evaluation_parts
from insula.serve.web.frame import PAGE, page

BundleId = Annotated[str, InPath(pattern=HEX)]
Asked = Annotated[str, Query(pattern=r"^[0-9a-f]{0,64}$")]
_ORDER: Final = ("active", "ab", "shadow", "candidate", "retired")


def routes(service: Service) -> APIRouter:
    """`/models`, `/models/compare` and `/models/{bundle_id}`."""
    made = Routes(service, "/models", "pages")

    @made.get("", "model.read", quiet=True, **PAGE)
    def models(acting: Acting) -> HTMLResponse:
        """All models, those that answer first."""
        with acting.look() as connection:
            found = choose.models(connection)
        found.sort(key=lambda one: (_ORDER.index(one.state), one.name, -one.seq))
        manages = acting.caller.may("model.manage")
        return page(
            acting,
            "models.html",
            models=[(one, shown(service, one), graph_bytes(Path(one.path))) for one in found],
            home=service.settings.models is not None,
            offered=offered(service.settings.models, [Path(one.path) for one in found]) if manages else [],
        )

    @made.get("/compare", "model.manage", quiet=True, **PAGE)
    def compared(acting: Acting, a: Asked = "", b: Asked = "") -> HTMLResponse:
        """Two models on the studies that both answered."""
        found, refusal = None, None
        with acting.look() as connection:
            known = choose.models(connection)
            if a and b:
                try:
                    found = compare(connection, a, b)
                except RequestError as error:
                    refusal = error
        return page(
            acting,
            "models_compare.html",
            refusal.status if refusal else 200,
            models=known,
            a=a,
            b=b,
            found=found,
            rows=_rows(found) if found else [],
            refusal=str(refusal) if refusal else "",
        )

    @made.get("/{bundle_id}", "model.read", quiet=True, **PAGE)
    def model(acting: Acting, bundle_id: BundleId) -> HTMLResponse:
        """What one model is, how it was judged, and what an administrator may let it do."""
        with acting.look() as connection:
            found = choose.get(connection, bundle_id)
            others = [one for one in choose.models(connection) if one.bundle_id != bundle_id]
        return page(acting, "model.html", **_whole(acting, found), others=others)

    return made.router


def _whole(acting: Act, model: choose.Model) -> dict[str, Any]:
    loaded = next((one for one in acting.service.pool.all() if one.bundle.id == model.bundle_id), None)
    path = Path(model.path)
    return {
        "model": model,
        "recipe": loaded.bundle.recipe if loaded else choose.recipe_or_none(model),
        "loaded": loaded is not None,
        "info": shown(acting.service, model).info,
        "bundle": _bundle(loaded) if loaded else None,
        "size": graph_bytes(path),
        "name": path.name,
        "intended": INTENDED_USE,
        "evaluation": evaluation_parts.evaluation(path, model.bundle_id),
        "audit": evaluation_parts.audit(path, model.bundle_id),
    }


def _bundle(loaded: Loaded) -> dict[str, Any]:
    """What a loaded bundle says of its making; no hash of a patient or file."""
    bundle = loaded.bundle
    base, metrics = bundle.baseline, bundle.metrics
    return {
        "decision": bundle.decision,
        "provider": loaded.predictor.engine.provider,
        "slices": loaded.gain.most,
        "patients": len(base.patients),
        "files": len(base.files),
        "counts": dict(base.class_counts),
        "split_level": base.split_level,
        "validation": dict(metrics.get("validation") or {}),
        "training": dict(metrics.get("training") or {}),
        "parity": dict(metrics.get("parity") or {}),
        "optimised": dict(metrics.get("optimised") or {}),
        "origin": dict(bundle.provenance),
    }


def _rows(found: Compared) -> list[tuple[str, str, Comparison]]:
    """Every paired difference: what kind it is of, its name, and the difference."""
    right = [("accuracy", "", found.accuracy)] if found.accuracy else []
    actions = [("action", name, one) for name, one in found.actions.items()]
    return [*right, *actions, *(("label", name, one) for name, one in found.labels.items())]
