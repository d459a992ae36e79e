"""The register of models and what is loaded, brought together when a process starts that predicts."""

from __future__ import annotations

from pathlib import Path

from insula.core.errors import InsulaError
from insula.core.log import get
from insula.serve.models import choose
from insula.serve.service import Service
from insula.serve.store.connect import reading, writing


def take_in(service: Service) -> None:
    """Register the bundle of the settings, and load what the register says is serving.

    The first bundle of a name is put in charge, since whoever starts the service names it; a later one is a candidate
    until an administrator promotes it.
    """
    for loaded in service.pool.all():
        with writing(service.records) as connection:
            model = choose.register(connection, loaded.bundle)
            alone = all(one.state != "active" for one in choose.models(connection, model.name))
            if model.state == "candidate" and alone:
                choose.promote(connection, model.bundle_id)
                service.tell(connection, "service", "model.state", model.bundle_id[:64], {"state": "active"})
            elif model.state == "candidate":
                get("serve").warning("model is a candidate", bundle=model.bundle_id)
    here = {one.bundle.id for one in service.pool.all()}
    with reading(service.records) as connection:
        missing = [one for one in choose.in_state(connection, *choose.SERVING) if one.bundle_id not in here]
    for one in missing:
        try:
            service.pool.add(Path(one.path))
        except InsulaError as error:
            get("serve").error("model not loaded", bundle=one.bundle_id, code=error.code)
