"""Which model answers: candidates, shadows, A/B arms, the active one, and what is retired.

A model's name is its recipe's. One model of a name is active. A shadow answers beside it, unseen; an A/B arm answers
for a share of the patients, by a keyed hash of the patient's id, so that one patient always gets the same arm. Both
have the active one's question and classes: else they would answer something else under its name.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Connection, insert, select, update

from insula.bundle.types import Bundle
from insula.core import recipe as recipes
from insula.core.errors import RecipeError
from insula.core.recipe import Recipe
from insula.serve.faults import RequestError
from insula.serve.models.evaluated import figures_beside
from insula.serve.store import schema

State = Literal["candidate", "shadow", "ab", "active", "retired"]
Arm = Literal["main", "ab", "shadow"]
SHADOW: Final[Arm] = "shadow"
ANSWERING: Final[tuple[State, ...]] = ("active", "ab")  # whose answers are shown
SERVING: Final[tuple[State, ...]] = (*ANSWERING, "shadow")  # that have to be loaded
_SAME: Final = ("question", "target", "kind", "classes", "primary")
_WHOLE: Final = 1.0 - 1e-9  # of all patients: something is left for the active one


@dataclass(frozen=True)
class Model:
    """One registered model. share: of the patients that an A/B arm answers for. info: as `facts_of` gives it."""

    id: str
    seq: int
    created_at: datetime
    bundle_id: str
    name: str
    path: str
    state: State
    share: float
    info: Mapping[str, Any]
    changed_at: datetime


@dataclass(frozen=True)
class Choice:
    """Who answers for one patient: the bundle whose answer is shown, its arm, and those that answer unseen."""

    bundle_id: str
    arm: Arm
    shadows: tuple[str, ...]


def facts_of(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is asked and how it answers, for the records: enough to write a report when it is not loaded."""
    recipe, target = bundle.recipe, bundle.recipe.target
    return {
        "question": recipe.question,
        "target": recipe.target_name,
        "kind": target.kind,
        "classes": list(target.classes),
        "primary": target.positive,
        "roles": list(recipe.inputs),
        "clinical": list(recipe.clinical),
        "encoder": recipe.model.encoder,
        "recipe": recipe.model_dump(mode="json", by_alias=True),
        "thresholds": dict(bundle.decision.thresholds),
        "figures": [asdict(one) for one in figures_beside(bundle)],
    }


def recipe_of(model: Model) -> Recipe:
    """The recipe that a registered model was made by, whether it is loaded or not."""
    return recipes.parse(dict(model.info["recipe"]), f"the model '{model.name}'")


def recipe_or_none(model: Model) -> Recipe | None:
    """The same; None for one that was registered with a recipe which this version does not read."""
    try:
        return recipe_of(model)
    except RecipeError:
        return None


def register(connection: Connection, bundle: Bundle) -> Model:
    """Put a verified bundle into the records as a candidate; one that is there already stays in its state."""
    place = {"path": str(bundle.path.absolute()), "info": json.loads(json.dumps(facts_of(bundle)))}
    if (known := _row(connection, bundle.id)) is None:
        values: dict[str, Any] = {"bundle_id": bundle.id, "name": bundle.recipe.name, "state": "candidate"}
        connection.execute(insert(schema.models).values(values | place))
    elif (known.path, known.info) != (place["path"], place["info"]):  # it lies elsewhere, or was evaluated since
        changed = update(schema.models).where(schema.models.c.bundle_id == bundle.id)
        connection.execute(changed.values(place))
    return get(connection, bundle.id)


def get(connection: Connection, bundle_id: str) -> Model:
    """A model by its bundle's id. Raises RequestError 404 for one that is not registered."""
    if (found := _row(connection, bundle_id)) is None:
        raise RequestError(
            404, "no_such_model", f"No model with the bundle '{bundle_id[:64]}' is registered; see the list of models."
        )
    return found


def models(connection: Connection, name: str = "") -> list[Model]:
    """The registered models, those of one name where it is given, in the order in which they came."""
    wanted = select(schema.models).order_by(schema.models.c.seq)
    rows = connection.execute(wanted.where(schema.models.c.name == name) if name else wanted)
    return [Model(**row) for row in rows.mappings()]


def in_state(connection: Connection, *states: State) -> list[Model]:
    """The registered models in any of some states (as `SERVING`), in the order in which they came."""
    return [one for one in models(connection) if one.state in states]


def promote(connection: Connection, bundle_id: str) -> Model:
    """Make a model the active one of its name; the former active one is retired, and can be promoted again.

    Raises RequestError 404, and 409 where it answers another question than the active one.
    """
    model, active = _with_active(connection, bundle_id)
    if active is not None and active.bundle_id != bundle_id:
        _check_same(model, active)
        _move(connection, active.bundle_id, "retired")
    return _move(connection, bundle_id, "active")


def set_shadow(connection: Connection, bundle_id: str) -> Model:
    """Let a model answer beside the active one, unseen. Raises RequestError 404, 409 as `set_ab`."""
    model, active = _with_active(connection, bundle_id)
    _check_arm(model, active)
    return _move(connection, bundle_id, "shadow")


def set_ab(connection: Connection, bundle_id: str, share: float) -> Model:
    """Let a model answer for a share of the patients, above 0 and, with other arms of the name, below 1.

    Raises RequestError 404; 409 where no model of the name is active, where this one is, or where it answers another
    question; 422 for a share that leaves the active one nothing.
    """
    model, active = _with_active(connection, bundle_id)
    _check_arm(model, active)
    others = sum(m.share for m in models(connection, model.name) if m.state == "ab" and m.bundle_id != bundle_id)
    if not (share > 0.0 and share + others <= _WHOLE):
        raise RequestError(
            422,
            "bad_share",
            f"The share is {share:g}, and {others:g} of the patients have another arm; give a share above 0 that "
            "leaves some patients to the active model.",
        )
    return _move(connection, bundle_id, "ab", share)


def retire(connection: Connection, bundle_id: str) -> Model:
    """Let a model answer no more. Where it was the active one, its shadows and arms are candidates again."""
    model, active = _with_active(connection, bundle_id)
    if active is not None and active.bundle_id == bundle_id:
        for other in models(connection, model.name):
            if other.state in ("shadow", "ab"):
                _move(connection, other.bundle_id, "candidate")
    return _move(connection, bundle_id, "retired")


def choose(connection: Connection, name: str, patient_id: str, key: bytes) -> Choice:
    """Who answers for a patient of the models of one name. key: the service's secret, kept as long as the arms run.

    HMAC-SHA256 (RFC 2104) of name and patient, as a fraction of 1, falls to an arm or to the active model. Arms stand
    in the order in which they were registered: where the last one's share grows, nobody who has an arm loses it.
    Raises RequestError 409 where no model of the name is active.
    """
    found = models(connection, name)
    active = next((m for m in found if m.state == "active"), None)
    if active is None:
        raise RequestError(409, "no_active_model", f"No model '{name[:64]}' is active; promote one.")
    shadows = tuple(m.bundle_id for m in found if m.state == "shadow")
    at, upper = fraction(name, patient_id, key), 0.0
    for arm in found:
        if arm.state == "ab":
            upper += arm.share
            if at < upper:
                return Choice(arm.bundle_id, "ab", shadows)
    return Choice(active.bundle_id, "main", shadows)


def fraction(name: str, patient_id: str, key: bytes) -> float:
    """Where a patient lies between 0 and 1; the same for one name, patient and key, and without a pattern otherwise."""
    digest = hmac.digest(key, f"{name}\0{patient_id}".encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") / 2.0**64


def shown() -> ColumnElement[bool]:
    """The condition of predictions that may be shown: a shadow's answers are kept for comparison alone."""
    return schema.predictions.c.arm != SHADOW


def _row(connection: Connection, bundle_id: str) -> Model | None:
    row = connection.execute(select(schema.models).where(schema.models.c.bundle_id == bundle_id)).mappings().first()
    return None if row is None else Model(**row)


def _with_active(connection: Connection, bundle_id: str) -> tuple[Model, Model | None]:
    """A model and the active one of its name, all of the name held until the end of the transaction."""
    name = get(connection, bundle_id).name
    held = select(schema.models.c.seq).where(schema.models.c.name == name).order_by(schema.models.c.seq)
    connection.execute(held.with_for_update()).all()
    active = next((m for m in models(connection, name) if m.state == "active"), None)
    return get(connection, bundle_id), active


def _check_arm(model: Model, active: Model | None) -> None:
    if active is None:
        raise RequestError(
            409,
            "no_active_model",
            f"No model '{model.name}' is active, beside which it could stand; promote one first.",
        )
    if active.bundle_id == model.bundle_id:
        raise RequestError(
            409, "is_active", "The model is the active one; promote another one first, or retire this one."
        )
    _check_same(model, active)


def _check_same(model: Model, active: Model) -> None:
    other = [key for key in _SAME if model.info.get(key) != active.info.get(key)]
    if other:
        raise RequestError(
            409,
            "other_question",
            f"The models of the name '{model.name}' differ in {', '.join(other)}; one that answers something else "
            "needs a recipe of another name, or the active one is retired first.",
        )


def _move(connection: Connection, bundle_id: str, state: State, share: float = 0.0) -> Model:
    changed = update(schema.models).where(schema.models.c.bundle_id == bundle_id)
    connection.execute(changed.values(state=state, share=share, changed_at=schema.now()))
    return get(connection, bundle_id)
