"""Requests whose end two machines could see at different places: each is answered once, or refused and cut off.

Behind what looks like one request there is a second one, to an address of its own. A proxy that goes by another length
than the service would hand its answer to somebody else, so it may never be answered for a request that is ambiguous.
"""

from __future__ import annotations

import random
import re

import pytest
from tests.faults.made_raw import listening, sent
from tests.faults.tally import Tally, sizes

from insula.serve.app import create_app
from insula.serve.settings import Settings

pytestmark = pytest.mark.serve
HOST = b"Host: 127.0.0.1\r\n"
HIDDEN = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CHUNKED, NO_BODY, LAST = b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n", b"0\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % (len(LAST) + len(HIDDEN))


FIRST = b"POST /model_info HTTP/1.1\r\n"


def post(headers: bytes, body: bytes = b"", line: bytes = FIRST, host: bytes = HOST) -> bytes:
    return line + host + headers + b"\r\n" + body + HIDDEN


AMBIGUOUS = {
    "length, then chunks": post(LENGTH + CHUNKED, LAST),
    "chunks, then length": post(CHUNKED + b"Content-Length: 4\r\n", LAST),
    "chunks after a tab": post(b"Transfer-Encoding:\tchunked\r\nContent-Length: 5\r\n", LAST),
    "chunks in capitals": post(b"TRANSFER-ENCODING: CHUNKED\r\n" + LENGTH, LAST),
    "chunks with a space before the colon": post(b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", LAST),
    "chunks of another name": post(b"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n", LAST),
    "chunks twice": post(CHUNKED + b"Transfer-Encoding: identity\r\n", LAST),
    "chunks and identity": post(b"Transfer-Encoding: identity, chunked\r\n", LAST),
    "chunks in quotes": post(b'Transfer-Encoding: "chunked"\r\nContent-Length: 5\r\n', LAST),
    "two lengths": post(NO_BODY + LENGTH),
    "two lengths in one": post(b"Content-Length: 0, 5\r\n"),
    "a length with a plus": post(b"Content-Length: +5\r\n", b"abcde"),
    "a negative length": post(b"Content-Length: -1\r\n"),
    "a length in hexadecimal": post(b"Content-Length: 0x5\r\n", b"abcde"),
    "a length with an underscore": post(b"Content-Length: 1_0\r\n", b"abcde"),
    "a length of 5,000 digits": post(b"Content-Length: " + b"9" * 5000 + b"\r\n"),
    "a carriage return in a header": post(b"X: a\rTransfer-Encoding: chunked\r\n" + NO_BODY),
    "a NUL in a header": post(b"X: a\0b\r\n" + NO_BODY),
    "a NUL in a name": post(b"X\0: a\r\n" + NO_BODY),
    "a header without a colon": post(b"Transfer-Encoding chunked\r\n" + NO_BODY),
    "a first header that is folded": post(b"", host=b" X: a\r\n" + HOST + NO_BODY),
    "two hosts": post(NO_BODY + b"Host: evil.example\r\n"),
    "no host": post(NO_BODY, host=b""),
    "a host with a space before the colon": post(NO_BODY, host=b"Host : 127.0.0.1\r\n"),
    "two spaces in the first line": post(NO_BODY, line=b"POST  /model_info HTTP/1.1\r\n"),
    "a version that is none": post(NO_BODY, line=b"POST /model_info HTTP/1.1x\r\n"),
    "no version": post(NO_BODY, line=b"POST /model_info\r\n"),
    "a chunk's length in 0x": post(CHUNKED, b"0x2\r\nab\r\n" + LAST),
    "a chunk that goes on": post(CHUNKED, b"2\r\nabXX\r\n" + LAST),
    "a negative chunk": post(CHUNKED, b"-1\r\nab\r\n" + LAST),
    "a chunk's length of 40 digits": post(CHUNKED, b"f" * 40 + b"\r\nab\r\n" + LAST),
    "a chunk's line ended by a line feed": post(CHUNKED, b"2\nab\r\n" + LAST),
}
PLAIN = {
    "no body": post(NO_BODY),
    "a body in chunks": post(CHUNKED, b"2\r\nab\r\n" + LAST),
    "a chunk's extension": post(CHUNKED, b"0;a=b\r\n\r\n"),
    "trailers that are passed over": post(CHUNKED, b"0\r\nCookie: a=b\r\nContent-Length: 3\r\n\r\n"),
    "the same length twice": post(NO_BODY + NO_BODY),
    "a folded header": post(b"X: a\r\n Transfer-Encoding: chunked\r\n" + NO_BODY),
}


@sizes("rounds", 1, 40)
def test_a_request_whose_end_is_not_plain_hides_no_other(tally: Tally, rounds: int) -> None:
    rng, tried, wrong = random.Random(8), 0, []
    with listening(create_app(Settings())) as port, tally.log("http.log").open("wb") as log:
        for name, data in PLAIN.items():
            assert statuses(sent(port, data)) == [405, 200], name  # two requests, and so two answers
        for number in range(rounds):
            for name, data in AMBIGUOUS.items():
                found = sent(port, data if not number else varied(data, rng))
                tried += 1
                log.write(f"{name}: {statuses(found)}\n".encode())
                if 200 in statuses(found) or (number == 0 and statuses(found) != [400]):
                    wrong.append((name, found[:300]))
        assert statuses(sent(port, HIDDEN)) == [200], "the service goes on"
    assert not wrong, wrong[:4]
    tally.tried("a request with an ambiguous end and another one hidden behind it", tried, leaked=len(wrong))


def statuses(found: bytes) -> list[int]:
    """The statuses of the answers."""
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", found)]


def varied(data: bytes, rng: random.Random) -> bytes:
    """The same with further headers between, which change nothing about its end."""
    line, _, rest = data.partition(b"\r\n")
    more = b"".join(b"X-%d: a%s\r\n" % (k, bytes(rng.choices(b"abc ,;=", k=9))) for k in range(rng.randint(0, 6)))
    return line + b"\r\n" + (rest if rest.startswith(b" ") else more + rest)
