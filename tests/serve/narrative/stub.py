"""A server on this machine that speaks the chat API of OpenAI, well or badly, and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from insula.serve.narrative.model import Endpoint


@dataclass
class Turn:
    """One answer: a status, a body, and what is done before it is sent."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hold: threading.Event | None = None  # waits for it before the body's last byte


T = TypeVar("T")
Model = Callable[[dict[str, Any]], Turn]


@dataclass
class Stub:
    """The running server."""

    url: str
    model: Model
    bodies: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def endpoint(self, timeout: float = 60.0, key: str = "") -> Endpoint:
        return Endpoint(self.url, "made-model", key, timeout)


@contextmanager
def serving(model: Model) -> Iterator[Stub]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            stub.bodies.append(body)
            stub.headers.append({k.lower(): v for k, v in self.headers.items()})
            turn = stub.model(json.loads(body))
            self.send_response(turn.status)
            for name, value in {"Content-Type": "application/json", **turn.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                if turn.hold is not None:
                    self.wfile.write(turn.body[:-1])
                    self.wfile.flush()
                    turn.hold.wait(60.0)
                self.wfile.write(turn.body[-1:] if turn.hold is not None else turn.body)
            except OSError:
                return  # the caller hung up, as it should

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub = Stub(f"http://127.0.0.1:{server.server_port}/v1", model)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(content: Any, finish: str = "stop", **message: Any) -> Turn:
    """A completion with this content: text as it is, anything else as JSON."""
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    whole = {"id": "1", "object": "chat.completion", "created": 1, "model": "made-model", "choices": [choice]}
    return Turn(json.dumps(whole).encode())


def data(request: dict[str, Any]) -> dict[str, Any]:
    """What was sent beside the rules."""
    found: dict[str, Any] = json.loads(request["messages"][1]["content"])
    return found


def phrased(request: dict[str, Any]) -> dict[str, Any]:
    """What a model that does as it is told writes: pairs of sentences joined, those that stand alone as they are."""
    given = [one for one in data(request)["sentences"] if one["must"]]
    word = " ve " if data(request)["language"] == "tr" else ", and "
    sentences = []
    for pair in pairs(given, [one["alone"] for one in given]):
        text = word.join(one["text"].removesuffix(".") for one in pair) + "."
        sentences.append({"text": text, "facts": [one["id"] for one in pair]})
    return {"sentences": sentences}


def pairs(items: Sequence[T], alone: Sequence[bool]) -> list[list[T]]:
    """Two and two together, but for those that stand alone."""
    found: list[list[T]] = []
    may = False  # whether the last one takes another
    for item, single in zip(items, alone, strict=True):
        if may and not single:
            found[-1].append(item)
            may = False
        else:
            found.append([item])
            may = not single
    return found


def good(request: dict[str, Any]) -> Turn:
    return says(phrased(request))
