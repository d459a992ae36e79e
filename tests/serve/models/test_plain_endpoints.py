"""The plain endpoints behind queue, limit and batcher."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from tests.serve.client import client, dicom

from insula.bundle.types import Bundle
from insula.infer.predict import Predictor

pytestmark = pytest.mark.serve


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(), per_minute=1, burst=2)
    answers = [service.post("/predict", files={"file": dicom()}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["error"]["code"] == "too_many_requests"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 60
    assert service.get("/model_info").status_code == 200  # what costs nothing is not counted


def test_a_scan_that_takes_too_long_is_a_typed_error(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()
    monkeypatch.setattr(Predictor, "read", lambda *_: told.wait(60))  # a decoder that hangs
    got = client(tiny_bundle(), read_seconds=0.05).post("/predict", files={"file": dicom()})
    told.set()
    assert (got.status_code, got.json()["error"]["code"]) == (504, "read_timeout")
    assert int(got.headers["retry-after"]) >= 1


def test_the_service_ends_cleanly_and_takes_nobody_afterwards(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    with service:
        assert service.post("/predict", files={"file": dicom()}).status_code == 200
    got = service.post("/predict", files={"file": dicom()})
    assert (got.status_code, got.json()["error"]["code"]) == (503, "closing")
