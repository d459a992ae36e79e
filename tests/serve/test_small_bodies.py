"""Only where files come in may a body be long: what is read before it is known who sends it is a few kilobytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from tests.serve.api.made import Made, service
from tests.tiny_bundle import make

from insula.serve.shield import FILE_PATHS, SMALL, Shield

pytestmark = pytest.mark.serve


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = Path(tmp_path_factory.mktemp("bodies"))
    with service(make(folder), f"sqlite:///{folder}/insula.db", folder) as found:
        yield found


def test_json_of_many_megabytes_is_refused_before_it_is_read(made: Made) -> None:
    body = b'{"name": [' + b"[]," * (1 << 19) + b"1]}"
    for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain", ""):
        headers = {"content-type": kind} if kind else {}
        answer = made.fresh().post("/api/v1/session", content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "INSULA_MAX_UPLOAD_MB" not in answer.json()["detail"]  # which does not change this limit
        assert "no setting changes" in answer.json()["detail"]
    assert (
        made.fresh().post("/api/v1/studies", content=body, headers={"content-type": "application/json"}).status_code
        == 413
    )


def test_json_that_cannot_be_read_is_invalid_however_it_is_broken(made: Made) -> None:
    for body in (b"[" * 100_000 + b"]" * 100_000, b'{"name": "\xff"}', b'{"name": ' + b"9" * 9999 + b"}", b'{"name": '):
        answer = made.fresh().post("/api/v1/session", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


def test_a_body_without_a_length_is_counted_as_it_comes(made: Made) -> None:
    def blocks() -> Iterator[bytes]:
        for _ in range(2 * SMALL >> 16):
            yield bytes(1 << 16)

    answer = made.fresh().post("/api/v1/session", content=blocks(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_a_service_that_is_busy_says_so_to_a_body_that_has_just_come(made: Made) -> None:
    shield: Any = made.app.middleware_stack
    while not isinstance(shield, Shield):
        shield = shield.app
    shield.burden.requests = shield.burden.most_requests
    try:
        answer = made.fresh().post("/api/v1/session", json={"name": "nobody", "password": "wrong"})
    finally:
        shield.burden.requests = 0
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "5")


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "²", ""])
def test_a_length_that_is_no_number_is_refused(made: Made, length: str) -> None:
    headers: dict[bytes, bytes] = {
        b"content-length": length.encode("latin-1", "replace"),
        b"content-type": b"application/json",
    }
    answer = made.fresh().post("/api/v1/session", content=b"{}", headers=headers)
    assert answer.status_code in ((413,) if length else (413, 422))


def test_every_route_that_takes_files_is_one_of_those_that_may_be_long(made: Made) -> None:
    """A form in the description of a route, or objects of DICOMweb."""
    taking: list[str] = []
    for route in made.app.routes:
        body = (getattr(route, "openapi_extra", None) or {}).get("requestBody", {}).get("content", {})
        posted = isinstance(route, APIRoute) and "POST" in (route.methods or ())
        if posted and (
            "multipart/form-data" in body or str(getattr(route, "path", "")).startswith("/dicom-web/studies")
        ):
            taking.append(str(getattr(route, "path", "")))
    assert len(taking) == 6
    for path in taking:
        assert FILE_PATHS.fullmatch(path.replace("{study_id}", "0" * 32).replace("{study}", "1.2.3")), path
    for path in ("/api/v1/session", "/api/v1/studies/join", "/dicom-web/workitems", "/predict/more"):
        assert not FILE_PATHS.fullmatch(path)
