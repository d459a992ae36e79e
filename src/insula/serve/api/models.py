"""Models: which there are, which answers, and how two of them compare."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path as Folder
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from insula.core.errors import BundleError
from insula.serve.api.guard import Acting, Routes
from insula.serve.api.shapes import Model, ModelState, NewModel
from insula.serve.faults import RequestError
from insula.serve.models import choose
from insula.serve.models.compare import compare
from insula.serve.models.trial import tried
from insula.serve.service import Service

HEX = r"^[0-9a-f]{1,64}$"
BundleId = Annotated[str, Query(pattern=HEX)]


def routes(service: Service) -> APIRouter:
    """`/models`."""
    made = Routes(service, "/api/v1/models", "models")

    @made.get("", "model.read", quiet=True)
    def listed(acting: Acting) -> list[Model]:
        """All models, in the order in which they came."""
        with acting.look() as connection:
            return [shown(service, one) for one in choose.models(connection)]

    @made.get("/compare", "model.manage", quiet=True)
    def compared(acting: Acting, first: BundleId, second: BundleId) -> dict[str, Any]:
        """How two models answered the same studies: agreement, differences and accuracy, with 95% intervals."""
        with acting.look() as connection:
            return asdict(compare(connection, first, second))

    @made.post("", "model.manage", status_code=201)
    def add(acting: Acting, asked: NewModel) -> Model:
        """Load a bundle that lies below INSULA_MODELS, as a candidate."""
        home = service.settings.models
        if home is None:
            raise RequestError(403, "no_models_folder", "INSULA_MODELS names no folder, so that none can be added.")
        path = Folder(home) / asked.name
        if not path.is_dir():
            raise RequestError(
                404, "not_found", f"There is no bundle '{asked.name}' below INSULA_MODELS; copy it there."
            )
        try:
            tried(path)
            loaded = service.pool.add(path)
        except BundleError as error:
            raise RequestError(422, "bundle", str(error).replace(str(home), "INSULA_MODELS")) from error
        with acting.write("model.add", loaded.bundle.id[:64]) as connection:
            return shown(service, choose.register(connection, loaded.bundle))

    @made.put("/{bundle_id}/state", "model.manage", statuses=(409,))
    def state(acting: Acting, bundle_id: Annotated[str, Path(pattern=HEX)], asked: ModelState) -> Model:
        """Promote a model, let it run along or answer for a share of the patients, or retire it."""
        if (asked.share is not None) != (asked.state == "ab"):
            raise RequestError(422, "bad_share", "'share' stands with the state 'ab', and there alone.")
        with acting.write("model.state", state=asked.state) as connection:
            found = choose.get(connection, bundle_id)
            acting.told(found.bundle_id, name=found.name, before=found.state)
            if asked.state in ("active", "shadow", "ab") and found.bundle_id not in _ids(service):
                raise RequestError(409, "not_loaded", "The model is not loaded here; add it first.")
            match asked.state:
                case "active":
                    found = choose.promote(connection, bundle_id)
                case "shadow":
                    found = choose.set_shadow(connection, bundle_id)
                case "ab":
                    found = choose.set_ab(connection, bundle_id, asked.share or 0.0)
                case "retired":
                    found = choose.retire(connection, bundle_id)
                case "candidate":
                    raise RequestError(422, "bad_state", "A model is a candidate when it comes; retire it instead.")
        return shown(service, found)

    return made.router


def _ids(service: Service) -> set[str]:
    return {one.bundle.id for one in service.pool.all()}


def shown(service: Service, one: choose.Model) -> Model:
    """A model as the API says it."""
    loaded = one.bundle_id in _ids(service)
    info = service.pool.get(one.bundle_id).info().model_dump(mode="json") if loaded else dict(one.info)
    return Model(
        bundle_id=one.bundle_id,
        name=one.name,
        state=one.state,
        share=one.share,
        created_at=one.created_at,
        changed_at=one.changed_at,
        loaded=loaded,
        info=info,
    )
