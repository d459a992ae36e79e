"""Messages of several parts (RFC 2046, RFC 2387): read part by part, written part by part."""

from __future__ import annotations

import secrets
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import IO, Any, Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from starlette.requests import ClientDisconnect

from insula.serve.dicomweb.media import RELATED, body_is, parsed, unsupported
from insula.serve.faults import RequestError

MOST_PARTS: Final = 5000
_MOST_HEADER: Final = 4096
Spool = Callable[[], IO[bytes]]
_IN_MEMORY: Final = 4 << 20  # of one part; what is longer lies on the disk


class Part:
    """One part of a message. kind: its media type. content: its bytes, to be read from the start."""

    def __init__(self, spool: Spool) -> None:
        self.kind = ""
        self.content = spool()  # closed by `parts`


def spooled() -> IO[bytes]:
    """A place of a part: in memory as far as it is short, then on the disk."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


async def parts(request: Request, kind: str, spool: Spool = spooled) -> AsyncGenerator[Part]:
    """The parts of a request's body, one after the other; each is gone when the next is asked for.

    kind: what all parts should be. spool: makes what a part's bytes lie in until then. Whoever may not take all of them
    closes the generator (`aclosing`). Raises RequestError 415 for a body of another kind, 400 for one that is none, 413
    beyond MOST_PARTS, and what a spool raises.
    """
    media = body_is(request)
    if media.kind != RELATED or media.parameters.get("type", kind).lower() != kind:
        raise unsupported(media, [f'{RELATED}; type="{kind}"'])
    reader = _Reader(media.parameters.get("boundary", ""), spool)
    count = 0
    try:
        async for block in request.stream():
            for part in reader.feed(block):
                count += 1
                with part.content:
                    if count > MOST_PARTS:
                        raise RequestError(413, "too_many", f"A message has at most {MOST_PARTS} parts; send several.")
                    part.content.seek(0)
                    yield part
    except ClientDisconnect as error:
        raise _broken("its sender went away") from error
    finally:
        reader.close()
    if not reader.over:
        raise _broken("it ends before its last boundary")


async def whole(request: Request, most_bytes: int) -> bytes:
    """A short body. Raises RequestError 413 for a longer one."""
    found = bytearray()
    try:
        async for block in request.stream():
            found += block
            if len(found) > most_bytes:
                raise RequestError(
                    413, "too_large", f"The body is longer than {most_bytes} bytes; send less at a time."
                )
    except ClientDisconnect as error:
        raise _broken("its sender went away") from error
    return bytes(found)


def written(pieces: Iterator[Sequence[bytes] | Iterator[bytes]], kind: str) -> tuple[str, Iterator[bytes]]:
    """The content type and the bytes of a message. pieces: of each part its bytes, in blocks; kind: of every part."""
    boundary = f"insula-{secrets.token_hex(16)}"

    def blocks() -> Iterator[bytes]:
        for piece in pieces:
            yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode()
            yield from piece
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    bare = kind.partition(";")[0]
    return f'{RELATED}; type="{bare}"; boundary="{boundary}"', blocks()


class _Reader:
    """Feeds a parser and keeps the part that is being read."""

    def __init__(self, boundary: str, spool: Spool) -> None:
        self.over = False
        self._spool = spool
        self._done: deque[Part] = deque()
        self._part: Part | None = None
        self._name, self._value = bytearray(), bytearray()
        callbacks: Any = {
            "on_part_begin": self._begin,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_end": self._last,
        }
        if not 0 < len(boundary) <= 70 or not boundary.isascii():  # RFC 2046, section 5.1.1
            raise _broken("its content type names no boundary")
        self._parser = MultipartParser(boundary, callbacks, max_header_size=_MOST_HEADER)

    def feed(self, block: bytes) -> Iterator[Part]:
        """The parts that end within a block; the block is read on only when the last one was taken."""
        try:
            self._parser.write(block)
        except (FormParserError, ValueError) as error:
            raise _broken("its parts cannot be told apart") from error
        while self._done:
            yield self._done.popleft()

    def close(self) -> None:
        """Let go of what nobody has taken."""
        for part in (*self._done, *([self._part] if self._part else [])):
            part.content.close()

    def _begin(self) -> None:
        self._part = Part(self._spool)

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.content.write(data[start:end])

    def _header(self) -> None:
        if self._part is not None and bytes(self._name).strip().lower() == b"content-type":
            self._part.kind = parsed(bytes(self._value).decode("latin-1")).kind
        self._name.clear()
        self._value.clear()

    def _end(self) -> None:
        if self._part is not None:
            self._done.append(self._part)
        self._part = None

    def _last(self) -> None:
        self.over = True


def _broken(why: str) -> RequestError:
    return RequestError(400, "bad_multipart", f"The request is no message of several parts: {why}.")
