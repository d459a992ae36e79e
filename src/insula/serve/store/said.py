"""Labels of answers as people read them, by the words of the recipe that the answer's model was made by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, select

from insula.core.recipe_target import Target
from insula.serve.store import schema

Say = Callable[[str, str], str]


def sayer(connection: Connection, bundle_ids: Iterable[str]) -> Say:
    """What says a label of one of these models: (bundle id, label) → words.

    A label of a model that is not registered, or whose recipe this version does not read, is said as it is.
    """
    table = schema.models.c
    rows = connection.execute(select(table.bundle_id, table.info).where(table.bundle_id.in_(set(bundle_ids))))
    targets = {name: target for name, info in rows if (target := target_in(info)) is not None}
    return lambda bundle_id, label: targets[bundle_id].say(label) if bundle_id in targets else label


def target_in(info: Any) -> Target | None:
    """The first target of a registered model's recipe, None where this version does not read it."""
    try:
        return Target.model_validate(info["recipe"]["targets"][info["target"]])
    except (KeyError, TypeError, ValidationError):
        return None
