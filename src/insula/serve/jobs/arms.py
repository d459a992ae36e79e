"""Which models predict a study: the one whose answer is shown, as the register says, and those that run along."""

from __future__ import annotations

import hmac

from sqlalchemy import Connection

from insula.serve.faults import RequestError
from insula.serve.jobs.predict_study import Arm
from insula.serve.models import choose


def arms_for(connection: Connection, asked: str | None, patient_id: str, key: bytes) -> tuple[Arm, ...]:
    """The model whose answer is shown, first, and its shadows.

    asked: a recipe's name, a bundle's id, or None where one name has an active model. key: the secret of the trail, of
    which the arms' own is made. Raises RequestError 422 where None leaves it open, 404 and 409 as `models.choose`.
    """
    registered = choose.models(connection)
    if asked is not None and (one := next((m for m in registered if m.bundle_id == asked), None)) is not None:
        if one.state not in choose.ANSWERING:
            raise RequestError(409, "not_serving", f"The bundle '{asked}' is {one.state}; promote it, or ask by name.")
        return (Arm(one.bundle_id, one.name, "main" if one.state == "active" else "ab"),)
    name = asked if asked is not None else _only(registered)
    found = choose.choose(connection, name, patient_id, hmac.digest(key, b"insula arms 1", "sha256"))
    names = {m.bundle_id: m.name for m in registered}
    shadows = (Arm(bundle_id, names[bundle_id], "shadow") for bundle_id in found.shadows)
    return (Arm(found.bundle_id, name, found.arm), *shadows)


def _only(registered: list[choose.Model]) -> str:
    active = [m.name for m in registered if m.state == "active"]
    if len(active) == 1:
        return active[0]
    if not active:
        raise RequestError(409, "no_active_model", "No model is active; an administrator promotes one.")
    raise RequestError(422, "which_model", f"Several models are active; name one in 'model': {', '.join(active)}.")
