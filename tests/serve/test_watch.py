"""Which refused requests leave an entry in the trail, and which are counted in a later one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Row, select
from tests.faults.made_raw import listening, sent
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.serve import watch
from insula.serve.store import schema
from insula.serve.store.connect import reading

pytestmark = pytest.mark.serve
NOWHERE = f"/api/v1/studies/{'0' * 32}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = Path(tmp_path_factory.mktemp("watch"))
    with service(make(folder), f"sqlite:///{folder}/insula.db", folder) as found:
        yield found


def told(made: Made, actor: str) -> list[Row[tuple[object, ...]]]:
    """The refused requests of somebody, the first one first."""
    wanted = schema.trail.c.actor == actor, schema.trail.c.action == "request"
    with reading(made.service.records) as connection:
        return list(connection.execute(select(schema.trail).where(*wanted).order_by(schema.trail.c.seq)).all())


def test_of_nobody_known_so_many_are_told_in_a_minute_and_the_rest_are_counted_in_the_next_entry(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = 60.0 * 1000
    clock = SimpleNamespace(monotonic=lambda: minute, perf_counter=time.perf_counter)
    monkeypatch.setattr(watch, "time", clock)
    nobody = made.fresh()
    before = len(told(made, "anonymous"))
    for _ in range(watch._MOST_NOBODY + 5):
        assert nobody.get(NOWHERE).status_code == 401
    assert len(told(made, "anonymous")) == before + watch._MOST_NOBODY == before + 60
    minute += 60.0
    assert nobody.get(NOWHERE).status_code == 401
    assert nobody.get(NOWHERE).status_code == 401
    counted, plain = told(made, "anonymous")[-2:]
    assert '"passed_over":5' in str(counted.detail).replace(" ", "")
    assert "passed_over" not in str(plain.detail)


def test_of_somebody_known_each_is_told(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_MOST_NOBODY", 0)
    reader = made.client("reader")
    for _ in range(5):
        assert reader.get(NOWHERE).status_code == 404
    assert len(told(made, "reader")) == 5


def test_what_is_refused_before_any_route_is_told_too(made: Made) -> None:
    before = len(told(made, "anonymous"))
    assert made.fresh().get(NOWHERE, headers={"host": "elsewhere.example"}).json()["code"] == "host"
    (entry,) = told(made, "anonymous")[before:]
    assert (entry.outcome, entry.subject) == ("refused", "none")


def test_what_is_no_http_gets_a_line_of_text_and_leaves_no_entry(made: Made) -> None:
    before = len(told(made, "anonymous"))
    with listening(made.app) as port:
        answer = sent(port, b"no such thing\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"text/plain" in head
    assert body == b"Invalid HTTP request received."
    assert len(told(made, "anonymous")) == before
