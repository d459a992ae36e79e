"""When somebody was last here: the last request of a session or an API key, as far as the records still have it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, select

from insula.serve.store.schema import api_keys, sessions


def last_seen(connection: Connection, user_ids: Collection[str]) -> Mapping[str, datetime]:
    """User's id → the last request, to the minute; without those of whom none is known, as with an issuer's tokens."""
    found: dict[str, datetime] = {}
    for table, used in ((sessions, sessions.c.seen_at), (api_keys, api_keys.c.used_at)):
        rule = (table.c.user_id.in_(sorted(user_ids)), used.is_not(None))
        for user_id, at in connection.execute(
            select(table.c.user_id, func.max(used)).where(*rule).group_by(table.c.user_id)
        ):
            found[user_id] = max(at, found.get(user_id, at))
    return found
