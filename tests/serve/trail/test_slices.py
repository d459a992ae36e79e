"""A trail that is verified a slice at a time says in the end what one look at the whole of it says."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update
from tests.serve.api.made import service
from tests.serve.trail.filled import KEY, fill

from insula.serve.api import trail as routes
from insula.serve.store.connect import writing
from insula.serve.store.schema import trail
from insula.serve.trail.entries import START
from insula.serve.trail.keep import keep_head
from insula.serve.trail.verify import Verdict, verify

pytestmark = pytest.mark.serve


def by_slices(records: Engine, place: str, most: int) -> tuple[Verdict, int]:
    """The last verdict, and how many there were."""
    mark = START
    for count in range(1, 50):
        found = verify(records, KEY, place, mark, most)
        if not (found.left and found.holds):
            return found, count
        assert found.entries - found.first + 1 <= most
        mark = found.end
    raise AssertionError("the slices have no end")


@pytest.mark.parametrize("most", [1, 6, 7, 20, 100])
def test_slices_end_as_the_whole_does(records: Engine, tmp_path: Path, most: int) -> None:
    fill(records, 20)
    place = str(tmp_path / "heads")
    keep_head(records, KEY, place)
    found, count = by_slices(records, place, most)
    whole = verify(records, KEY, place)
    assert (found.holds, found.entries, found.covered, found.heads) == (True, 20, 20, 1)
    assert (whole.entries, whole.left, whole.said()) == (20, 0, verify(records, KEY, place, START, 20).said())
    assert count == -(-20 // most)


@pytest.mark.parametrize("seq", [1, 6, 7, 8, 14, 15, 20])
def test_a_slice_hides_no_entry_that_is_gone_or_changed(records: Engine, tmp_path: Path, seq: int) -> None:
    fill(records, 20)
    place = str(tmp_path / "heads")
    keep_head(records, KEY, place)
    with writing(records) as connection:
        connection.execute(update(trail).where(trail.c.seq == seq).values(actor="eve"))
    found, _ = by_slices(records, place, 7)
    whole = verify(records, KEY, place)
    assert found.fault == whole.fault
    assert found.fault is not None
    assert found.fault.seq == seq
    with writing(records) as connection:
        connection.execute(delete(trail).where(trail.c.seq == seq))
    found, _ = by_slices(records, place, 7)
    assert found.fault is not None
    assert (found.fault.seq, found.fault.kind) == (seq, "cut" if seq == 20 else "missing")


def test_the_words_of_a_slice_say_what_is_left(records: Engine) -> None:
    fill(records, 20)
    found = verify(records, KEY, "", verify(records, KEY, "", START, 6).end, 6)
    assert found.said() == (
        "Entries 7 to 12 hold: each was made with the key and follows the one before. 8 later entries were not looked "
        "at yet. Ask on from there, or run: insula audit-trail verify."
    )


def test_a_request_looks_at_so_many_entries_and_at_one_trail_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "MOST", 5)
    with service(None, f"sqlite:///{tmp_path}/insula.db", tmp_path) as made:
        client = made.client("admin")
        for _ in range(8):
            client.get("/api/v1/trail")
        where = "/api/v1/trail/verify"
        found = client.get(where).json()
        assert (found["holds"], found["entries"]) == (True, 5)
        assert found["next"].startswith("5.")
        seen = [found["entries"]]
        while found["next"]:
            monkeypatch.setattr(routes, "MOST", 100)
            found = client.get(where, params={"after": found["next"]}).json()
            seen.append(found["entries"])
        assert found["holds"]
        assert seen[-1] > 8
        assert client.get(where, params={"after": "5.0"}).status_code == 422
        forged = client.get(where, params={"after": f"5.{'0' * 64}"}).json()
        assert (forged["holds"], forged["next"]) == (False, None)
        begun, go = threading.Event(), threading.Event()

        def held_up(*args: Any) -> Verdict:
            begun.set()
            assert go.wait(60)
            return verify(*args)

        monkeypatch.setattr(routes, "verify", held_up)
        with ThreadPoolExecutor(1) as other:
            first = other.submit(made.client("auditor").get, where)
            assert begun.wait(60)
            second = client.get(where)
            go.set()
        assert (second.status_code, second.json()["code"], first.result().status_code) == (503, "busy", 200)
