"""What was made here, by every UID under which others have it: an archive that passes on all it gets sends it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, or_, select, update

from insula.serve.store import schema

_made: Final = schema.pacs_objects


def is_ours(connection: Connection, uid: str) -> bool:
    """Whether an object was made here. uid: as its sender calls it, before anything is put in its place."""
    these = or_(_made.c.sop_instance_uid == uid, _made.c.sent_uid == uid)
    return connection.execute(select(_made.c.id).where(these).limit(1)).first() is not None


def among(connection: Connection, uids: Sequence[str]) -> set[str]:
    """Those of some UIDs that are of objects which were made here."""
    found: set[str] = set()
    for uid in (_made.c.sop_instance_uid, _made.c.sent_uid):
        found |= set(connection.execute(select(uid).where(uid.in_(uids))).scalars())
    return found


def sent_as(connection: Connection, stored: str, sent: str) -> None:
    """Remember the UID under which an object goes out, where that is another than it is stored under."""
    connection.execute(update(_made).where(_made.c.sop_instance_uid == stored).values(sent_uid=sent))
