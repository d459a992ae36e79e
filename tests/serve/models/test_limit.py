from __future__ import annotations

import pytest

from insula.serve.faults import RequestError
from insula.serve.models import limit
from insula.serve.models.limit import ClientLimit

pytestmark = pytest.mark.serve


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_with_time() -> None:
    clock = Clock()
    bucket = ClientLimit(per_minute=30, burst=2, clock=clock)
    bucket.take("a")
    bucket.take("a")
    with pytest.raises(RequestError) as caught:
        bucket.take("a")
    assert (caught.value.status, caught.value.fault_code) == (429, "too_many_requests")
    assert caught.value.headers == {"Retry-After": "2"}
    clock.now = 1.9
    with pytest.raises(RequestError):
        bucket.take("a")
    clock.now = 2.0
    bucket.take("a")
    with pytest.raises(RequestError):
        bucket.take("a")


def test_clients_do_not_take_from_each_other_and_nothing_is_saved_beyond_the_burst() -> None:
    clock = Clock()
    bucket = ClientLimit(per_minute=60, burst=1, clock=clock)
    bucket.take("a")
    bucket.take("b")
    clock.now = 1000.0
    bucket.take("a")
    with pytest.raises(RequestError):
        bucket.take("a")


def test_without_a_limit_everybody_may() -> None:
    bucket = ClientLimit(per_minute=0, burst=1, clock=Clock())
    for _ in range(1000):
        bucket.take("a")


def test_more_than_a_bucket_holds_takes_a_whole_bucket() -> None:
    clock = Clock()
    bucket = ClientLimit(per_minute=60, burst=3, clock=clock)
    bucket.take("a", 100)
    with pytest.raises(RequestError):
        bucket.take("a")


def test_the_number_of_remembered_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "_MOST", 2)
    bucket = ClientLimit(per_minute=1, burst=1, clock=Clock())
    for client in ("a", "b", "c"):
        bucket.take(client)
    bucket.take("a")  # forgotten: it begins anew
    with pytest.raises(RequestError):
        bucket.take("c")
