from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tests.faults import made_servers as servers
from tests.serve.monitor.made_records import START

from insula.core.errors import UsageError
from insula.serve.monitor import webhook
from insula.serve.monitor.alerts import Alert
from insula.serve.monitor.settings import MonitorSettings
from insula.serve.monitor.webhook import AlertError, send

pytestmark = pytest.mark.serve

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
ALERT = Alert(3, "a" * 32, "queue_full", "", "3 requests were turned away.", {"refused": 3}, START, None, None)
Got = tuple[str, dict[str, str], bytes]


class Receiver:
    """A receiver on this machine that keeps what it gets and answers with a status."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server.server_port

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


def settings(url: str, hosts: str = "127.0.0.1,localhost") -> MonitorSettings:
    return MonitorSettings(alert_url=url, alert_hosts=hosts, alert_secret=SECRET)


def test_an_alert_arrives_signed_and_says_nothing_but_itself(receiver: Receiver) -> None:
    send(ALERT, settings(f"http://127.0.0.1:{receiver.port}/hook?x=1"), START)
    ((path, headers, body),) = receiver.got
    assert path == "/hook?x=1"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert json.loads(body) == {
        "type": "insula.alert.opened",
        "timestamp": "2026-03-01T12:00:00+00:00",
        "data": {
            "id": "a" * 32,
            "kind": "queue_full",
            "bundle_id": "",
            "message": "3 requests were turned away.",
            "detail": {"refused": 3},
        },
    }
    stamp = str(int(START.timestamp()))
    said = f"{'a' * 32}.opened.{stamp}.".encode() + body
    assert headers["webhook-id"] == f"{'a' * 32}.opened"
    assert headers["webhook-timestamp"] == stamp
    expected = base64.b64encode(hmac.new(KEY, said, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_the_signature_is_that_of_the_standards_example() -> None:
    # msg_p5jXN8AQM9LWM0D4loKWxJek, 1614265330, {"test": 2432232314}: the example in its libraries' tests
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = START.replace(year=2021, month=2, day=25, hour=15, minute=2, second=10)
    assert int(at.timestamp()) == 1614265330
    found = webhook.signed(b'{"test": 2432232314}', "msg_p5jXN8AQM9LWM0D4loKWxJek", at, key)
    assert found["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_closed_alert_is_told_as_closed(receiver: Receiver) -> None:
    over = replace(ALERT, closed_at=START + timedelta(hours=2))
    send(over, settings(f"http://127.0.0.1:{receiver.port}/"), START)
    ((_, headers, body),) = receiver.got
    assert json.loads(body)["type"] == "insula.alert.closed"
    assert json.loads(body)["timestamp"].startswith("2026-03-01T14")
    assert headers["webhook-id"].endswith(".closed")


def test_the_connection_goes_to_the_address_that_was_looked_at(receiver: Receiver) -> None:
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        return ["127.0.0.1"]

    # a name that nothing else could resolve: only the address given here leads to the receiver
    url = f"http://localhost:{receiver.port}/"
    send(ALERT, settings(url), START, resolve)
    assert asked == [f"localhost:{receiver.port}"]
    assert receiver.got[0][1]["host"] == f"localhost:{receiver.port}"


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5",
        "192.168.1.1",
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.5",
        "0.0.0.0",
        "224.0.0.1",
        "64:ff9b::a9fe:a9fe",  # IPv4 addresses in IPv6 ones, behind a gateway
        "64:ff9b:1::7f00:1",
        "2002:a00:5::1",
        "::ffff:0:7f00:1",
        "::7f00:1",
        "fec0::1",
        "192.0.0.8",
    ],
)
def test_a_name_that_stands_for_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(AlertError, match="no public address"):
        send(
            ALERT,
            settings("https://hooks.example.org/", "hooks.example.org"),
            START,
            lambda h, p: ["93.184.216.34", address],
        )


def test_a_private_address_that_is_named_may_get_alerts(receiver: Receiver) -> None:
    url = f"http://localhost:{receiver.port}/"
    with pytest.raises(AlertError, match="name it in INSULA_ALERT_HOSTS"):
        send(ALERT, settings(url, "localhost"), START, lambda h, p: ["127.0.0.1"])
    send(ALERT, settings(url, "localhost,127.0.0.0/8"), START, lambda h, p: ["127.0.0.1"])
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"Location": "/elsewhere"}
    with pytest.raises(AlertError, match="307"):
        send(ALERT, settings(f"http://127.0.0.1:{receiver.port}/"), START)
    assert [path for path, _, _ in receiver.got] == ["/"]


def test_an_answer_that_is_no_yes_is_an_error_to_try_again_after(receiver: Receiver) -> None:
    receiver.status = 500
    with pytest.raises(AlertError, match="answered an alert with 500"):
        send(ALERT, settings(f"http://127.0.0.1:{receiver.port}/"), START)


def test_nobody_listening_and_no_such_name_are_errors_without_the_path(receiver: Receiver) -> None:
    port = receiver.port
    receiver.server.socket.close()
    with pytest.raises(AlertError, match=r"did not reach '127\.0\.0\.1'") as caught:
        send(ALERT, settings(f"http://127.0.0.1:{port}/secret-path"), START)
    assert "secret-path" not in str(caught.value)

    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("Name or service not known")

    with pytest.raises(AlertError, match="stands for no address"):
        send(ALERT, settings("https://hooks.example.org/", "hooks.example.org"), START, nowhere)
    with pytest.raises(AlertError, match="stands for no address"):
        send(ALERT, settings("https://hooks.example.org/", "hooks.example.org"), START, lambda h, p: [])


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    send(ALERT, settings(f"http://127.0.0.1:{receiver.port}/"), START)
    assert len(receiver.got) == 1


def test_a_host_that_is_not_allowed_gets_nothing_and_no_receiver_is_no_error(receiver: Receiver) -> None:
    with pytest.raises(UsageError, match="does not name"):
        send(ALERT, settings(f"http://127.0.0.1:{receiver.port}/", "hooks.example.org"), START)
    assert receiver.got == []
    send(ALERT, MonitorSettings(), START)


def test_a_receiver_that_drips_its_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.5)
    with servers.serving(servers.drip_head) as server, pytest.raises(AlertError, match="did not reach"):
        send(ALERT, settings(f"http://127.0.0.1:{server.port}/"), START)
