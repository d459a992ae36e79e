"""When somebody was last here, out of sessions and keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from tests.serve.people.made import MINUTE, NOW, SETTINGS, person

from insula.serve.people import keys, sessions
from insula.serve.people.last_seen import last_seen
from insula.serve.store.connect import reading, writing

pytestmark = pytest.mark.serve


def test_the_later_of_session_and_key_counts_and_nobody_elses(records: Engine) -> None:
    with writing(records) as connection:
        ann, ben, eve = (person(connection, name) for name in ("ann", "ben", "eve"))
        for who in (ann, ben):
            session = sessions.start(connection, who.id, NOW, SETTINGS)
        sessions.end(connection, session.id, NOW + MINUTE)  # an ended one still tells
        used = keys.create(connection, ann.id, "k", ["study.read"], NOW + timedelta(days=1), NOW)
        keys.create(connection, eve.id, "never used", ["study.read"], NOW + timedelta(days=1), NOW)
        keys.note_used(connection, used.key.id, NOW + 9 * MINUTE)
    with reading(records) as connection:
        found = last_seen(connection, [ann.id, ben.id, eve.id])
        assert found == {ann.id: NOW + 9 * MINUTE, ben.id: NOW}
        assert last_seen(connection, [eve.id]) == last_seen(connection, []) == {}
