from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.routing import Route
from structlog.testing import capture_logs
from tests.serve.client import KEY, client, dicom

from insula.bundle.types import Bundle
from insula.core.errors import BundleError, UsageError
from insula.serve.app import create_app
from insula.serve.faults import RequestError, busy
from insula.serve.models.line import Line
from insula.serve.models.loaded import Loaded
from insula.serve.settings import Settings, is_loopback, read_settings

pytestmark = pytest.mark.serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_address_that_others_reach_needs_a_key(host: str) -> None:
    with pytest.raises(UsageError, match="INSULA_API_KEY"):
        create_app(Settings(host=host))
    create_app(Settings(host=host, api_key=KEY))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["127.0.0.1.example.org", "localhost.example.org", "", "0.0.0.0", "2130706433"])
def test_other_names_are_not(host: str) -> None:
    assert not is_loopback(host)


def test_settings_come_from_the_environment_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_PORT", "9001")
    monkeypatch.setenv("INSULA_API_KEY", KEY)
    monkeypatch.setenv("INSULA_DATA", "/somewhere")
    settings = read_settings(host="0.0.0.0", port=None)
    assert (settings.port, settings.host, settings.key) == (9001, "0.0.0.0", KEY)
    assert KEY not in repr(settings)
    assert read_settings(port=9002).port == 9002
    monkeypatch.setenv("INSULA_PORT", "many")
    with pytest.raises(UsageError, match="INSULA_PORT"):
        read_settings()


def test_a_short_key_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as caught:
        create_app(Settings(api_key="hunter2"))
    assert "hunter2" not in str(caught.value)


def every_route(bundle: Bundle) -> Iterator[tuple[str, str]]:
    app = create_app(Settings(bundle=bundle.path, api_key=KEY))
    for route in app.routes:
        assert isinstance(route, Route), f"{route!r} is of a kind that this test does not know"
        for method in route.methods or ():
            yield method, route.path


def test_with_a_key_every_route_but_health_is_closed(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    service = client(bundle, api_key=KEY)
    routes = sorted(every_route(bundle))
    assert len(routes) >= 8
    wrong = [
        {}, {"Authorization": "Bearer " + "x" * 32}, {"Authorization": f"Basic {KEY}"}, {"X-API-Key": KEY[:-1]},
        {"Authorization": "Bearer"}, {"Authorization": KEY}, {"X-API-Key": ""},
    ]  # fmt: skip
    for method, path in [*routes, ("GET", "/nothing"), ("POST", "/health/"), ("GET", "//health")]:
        for headers in wrong:
            got = service.request(method, path, headers=headers)
            if path == "/health":
                assert got.status_code == 200
                continue
            assert got.status_code == 401, (method, path, headers)
            assert method == "HEAD" or got.json()["error"]["code"] == "unauthorised"


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {KEY}"}, {"authorization": f"bearer {KEY}"}, {"X-API-Key": KEY}]
)
def test_the_key_opens(tiny_bundle: Callable[..., Bundle], headers: dict[str, str]) -> None:
    service = client(tiny_bundle(), api_key=KEY)
    assert service.get("/model_info", headers=headers).status_code == 200
    assert service.post("/predict", files={"file": dicom()}, headers=headers).status_code == 200


def test_a_refused_request_is_refused_before_its_body_is_read(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(), api_key=KEY)

    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    got = service.post("/predict", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert got.status_code == 401


def test_without_a_key_a_re_pointed_name_and_another_site_are_refused(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle())
    assert service.get("/health", headers={"host": "evil.example:8000"}).status_code == 403
    assert service.get("/health", headers={"host": "localhost:8000"}).status_code == 200
    assert service.get("/health", headers={"host": "[::1]:8000"}).status_code == 200
    got = service.post("/predict", files={"file": dicom()}, headers={"sec-fetch-site": "cross-site"})
    assert (got.status_code, got.json()["error"]["code"]) == (403, "cross_site")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1@evil.example", "[::1]evil.example", "localhost:80/@evil", "127.0.0.1:8000#x", "localhost:a"]
)
def test_a_host_that_only_begins_as_this_machine_is_another(tiny_bundle: Callable[..., Bundle], host: str) -> None:
    service = client(tiny_bundle())
    assert service.get("/health", headers={"host": host}).status_code == 403


def test_a_body_that_says_it_is_too_long_is_refused_unread(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(), max_upload_mb=1)
    got = service.post("/predict", files={"file": b"\0" * (1 << 21)})
    assert (got.status_code, got.json()["error"]["code"]) == (413, "too_large")
    assert "1 MB" in got.json()["error"]["message"]


def test_a_body_that_does_not_say_is_cut_off_at_the_limit(tiny_bundle: Callable[..., Bundle]) -> None:
    service = client(tiny_bundle(), max_upload_mb=1)
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(4):
            sent += 1
            yield b"\0" * (1 << 19)

    got = service.post("/predict", content=body(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert (got.status_code, got.json()["error"]["code"]) == (413, "too_large")


def test_every_answer_carries_the_security_headers(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = client(tiny_bundle())
    answers = [service.get("/"), service.get("/health"), service.get("/nothing"), service.post("/predict")]

    def fail(self: object) -> None:
        raise RuntimeError("Doe^Jane in /tmp/secret")

    monkeypatch.setattr(Loaded, "info", fail)
    with capture_logs() as logs:
        broken = service.get("/model_info")
    assert broken.status_code == 500
    assert broken.json()["error"]["code"] == "internal"
    for answer in [*answers, broken]:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
    assert "Jane" not in broken.text + str(logs)
    mark = re.search(r"mark ([0-9a-f]{8})", broken.text)
    assert mark is not None
    assert any(event.get("mark") == mark[1] and event["kind"] == "RuntimeError" for event in logs)


def test_logs_hold_no_names(tiny_bundle: Callable[..., Bundle], capfd: pytest.CaptureFixture[str]) -> None:
    service = client(tiny_bundle())
    with capture_logs() as logs:
        service.post("/predict?patient=Doe", files={"file": ("Jane Doe.dcm", dicom())})
        service.post("/predict", files={"file": ("Jane Doe.dcm", b"rubbish Jane")})
        service.get("/patients/Doe")
    text = str(logs) + "".join(capfd.readouterr())
    assert [event["status"] for event in logs] == [200, 415, 404]
    for secret in ("Jane", "Doe", "4711"):
        assert secret not in text


def test_nothing_of_an_upload_stays_behind(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    place = tmp_path / "temporary"
    place.mkdir()
    service = client(tiny_bundle())  # its decoding processes have folders of their own
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    big = dicom() + b"\0" * (2 << 20)  # beyond what is held in memory
    for data in (dicom(), b"rubbish", big):
        service.post("/predict", files={"file": ("../../x", data)})
    assert list(place.iterdir()) == []
    assert list(Path("/dev/shm").glob(f"insula-{os.getpid()}-*")) == []


def test_a_changed_bundle_keeps_the_service_from_starting(tiny_bundle: Callable[..., Bundle]) -> None:
    bundle = tiny_bundle()
    (bundle.path / "model-card.md").write_bytes(b"other")
    with pytest.raises(BundleError, match=r"model-card\.md"):
        create_app(Settings(bundle=bundle.path))


def test_a_full_queue_says_when_to_come_again(tiny_bundle: Callable[..., Bundle]) -> None:
    import anyio

    async def crowd() -> tuple[list[int], list[str]]:
        line = Line(workers=1, queue=1)
        go = threading.Event()
        done: list[int] = []
        refused: list[str] = []

        def work(number: int) -> int:
            go.wait()
            return number

        async def ask(number: int) -> None:
            try:
                done.append(await line.run(work, number))
            except RequestError as error:
                refused.append(error.headers["Retry-After"])

        async with anyio.create_task_group() as group:
            for number in range(4):
                group.start_soon(ask, number)
            await anyio.sleep(0.05)
            assert len(refused) == 2
            go.set()
        assert await line.run(lambda: 9) == 9  # the places are free again
        return done, refused

    done, refused = anyio.run(crowd)
    assert len(done) == 2
    assert all(int(seconds) > 0 for seconds in refused)


def test_the_service_says_503_when_its_queue_is_full(
    tiny_bundle: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    service = client(tiny_bundle())
    monkeypatch.setattr(Line, "check", lambda self: (_ for _ in ()).throw(busy(7)))
    got = service.post("/predict", files={"file": io.BytesIO(dicom())})
    assert (got.status_code, got.json()["error"]["code"]) == (503, "busy")
    assert got.headers["retry-after"] == "7"
