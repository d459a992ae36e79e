"""Bodies of requests that swell, nest or never end: refused in little memory, whoever sends them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from tests.faults.made_doors import STUDIES, growth
from tests.faults.tally import Tally, sizes
from tests.serve.api.made import Made
from tests.serve.dicomweb.made import RULES, with_rules

from insula.serve.shield import SMALL

pytestmark = [pytest.mark.serve, pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")]
MB = 1 << 20
MOST = 150 * MB
JSON: dict[str, Callable[[int], bytes]] = {
    "lists within lists": lambda size: b'{"name": ' + b"[" * (size // 2) + b"]" * (size // 2) + b"}",
    "objects within objects": lambda size: b'{"a":' * (size // 6) + b"1" + b"}" * (size // 6),
    "a list of empty lists": lambda size: b'{"name": [' + b"[]," * (size // 3) + b"1]}",
    "a number of many digits": lambda size: b'{"name": ' + b"9" * size + b"}",
    "a number beyond all": lambda size: b'{"share": 1e999, "name": -1e999}',
    "no number": lambda size: b'{"share": NaN, "name": Infinity}',
    "half a character": lambda size: b'{"name": "\\ud800", "title": "\\udfff"}',
    "names without end": lambda size: b"{" + b",".join(b'"%d":0' % n for n in range(size // 10)) + b"}",
    "a text without end": lambda size: b'{"name": "' + b"a" * size + b'"}',
    "no UTF-8": lambda size: b'{"name": "' + b"\xff\xfe" * (size // 2) + b'"}',
    "a list": lambda size: b"[" + b"0," * (size // 2) + b"0]",
    "a single text": lambda size: json.dumps("x" * size).encode(),
}


@pytest.fixture(autouse=True)
def form() -> str:
    """Which form of a test runs: both try the same where there is no more to try."""
    return "short"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = Path(tmp_path_factory.mktemp("bodies"))
    with with_rules(folder, f"sqlite:///{folder}/insula.db", RULES) as found:
        yield found


def routes(made: Made) -> list[tuple[str, str]]:
    """Methods and addresses of all routes that change something, each name in them a made one."""
    found = []
    for route in made.app.routes:
        if isinstance(route, APIRoute):
            stand_in = "1.2.3" if "dicom" in route.path else "0" * 32
            path = "/".join(stand_in if part[:1] == "{" else part for part in route.path.split("/"))
            found += [(method, path) for method in sorted((route.methods or set()) & {"POST", "PUT", "PATCH"})]
    return found


@sizes("size", 60_000, 900_000)
@pytest.mark.parametrize("who", ["admin", "nobody"])
def test_no_route_takes_json_that_swells(made: Made, who: str, size: int, tally: Tally) -> None:
    client = made.client("admin") if who == "admin" else made.fresh()
    asked = routes(made) if size > MB // 2 else [one for one in routes(made) if one[1] in (STUDIES, "/api/v1/session")]
    assert len(asked) > 1
    wrong, swollen, count, most = [], 0, 0, 0
    with tally.log(f"json-{who}.log").open("w") as log:
        for method, path in asked:
            for name, body_of in JSON.items():
                kind = "application/dicom+json" if path.startswith("/dicom-web") else "application/json"
                headers = {"content-type": kind, "if-match": '"1"'}
                body = body_of(size)
                answer, grown = growth(lambda: client.request(method, path, content=body, headers=headers))  # noqa: B023
                print(method, path, name, answer.status_code, grown >> 20, file=log)
                count, most = count + 1, max(most, grown)
                swollen += grown > MOST
                bad = (answer.status_code >= 500 and answer.status_code != 501) or (
                    answer.status_code < 300 and (who == "nobody" or len(body) > SMALL)
                )
                wrong += [(method, path, name, answer.status_code, answer.text[:200])] if bad else []
    figures = {"largest growth, MB": float(most >> 20)}
    tally.tried(f"JSON that swells or nests, sent by {who}", count, failed=len(wrong) + swollen, figures=figures)
    assert not wrong


def frontier(*parts: bytes, last: bytes = b"--x--\r\n") -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + last


def field(name: str, value: bytes = b"", more: bytes = b"") -> bytes:
    return f'Content-Disposition: form-data; name="{name}"'.encode() + more + b"\r\n\r\n" + value


FORMS: dict[str, Callable[[int], bytes]] = {
    "parts without end": lambda n: frontier(*[field("files", b"", b'; filename="a"')] * n),
    "fields without end": lambda n: frontier(*[field("a")] * n),
    "parts of nothing": lambda n: b"--x\r\n\r\n\r\n" * n + b"--x--\r\n",
    "headers without end": lambda n: frontier(b"".join(b"X-%d: y\r\n" % k for k in range(n)) + field("files")),
    "one header without end": lambda n: frontier(b"X-A: " + b"y" * (20 * n) + b"\r\n" + field("files")),
    "a name without end": lambda n: frontier(field("n" * (20 * n), b"1")),
    "a file name without end": lambda n: frontier(field("files", b"DICM", b'; filename="' + b"a/" * (10 * n) + b'"')),
    "a field without end": lambda n: frontier(field("patient", b"p" * (20 * n))),
    "no end": lambda n: frontier(field("files", b"DICM" * n, b'; filename="a"'), last=b""),
    "half a boundary over and over": lambda n: frontier(field("files", b"\r\n--" * n, b'; filename="a"')),
    "a preamble without end": lambda n: b"a" * (20 * n) + frontier(field("files")),
    "line ends alone": lambda n: b"\r\n" * n,
    "a disposition of thousands of parts": lambda n: frontier(
        field("a", b"", b"".join(b"; a%d=b" % k for k in range(n)))
    ),
}


@sizes("parts", 1_500, 300_000)
@pytest.mark.parametrize("path", [STUDIES, "/predict", "/dicom-web/studies"])
def test_no_route_takes_a_form_that_swells(made: Made, path: str, parts: int, tally: Tally) -> None:
    client = made.client("reader")
    kind = (
        'multipart/related; type="application/dicom"; boundary=x'
        if "dicom" in path
        else "multipart/form-data; boundary=x"
    )
    wrong, swollen, most = [], 0, 0
    with tally.log(f"forms{path.replace('/', '-')}.log").open("w") as log:
        for name, body_of in FORMS.items():
            body = body_of(parts)
            answer, grown = growth(lambda: client.post(path, content=body, headers={"content-type": kind}))  # noqa: B023
            print(name, len(body), answer.status_code, answer.text[:150], grown >> 20, file=log)
            swollen, most = swollen + (grown > MOST + 4 * len(body)), max(most, grown)
            wrong += [] if 400 <= answer.status_code < 500 else [(name, answer.status_code, answer.text[:200])]
    alive = client.get("/health").status_code == 200
    figures = {"largest growth, MB": float(most >> 20)}
    what = f"forms of many parts, headers or no end, to {path}"
    tally.tried(what, len(FORMS), failed=len(wrong) + swollen, crashed=int(not alive), figures=figures)
    assert not wrong


def data_set(**more: Any) -> dict[str, Any]:
    return {"00404005": {"vr": "DT", "Value": ["20260101"]}, **more}


@sizes("form", "short", "full")
def test_a_work_item_that_nests_or_swells_is_refused(made: Made, tally: Tally) -> None:
    nested: Any = {}
    for _ in range(200):
        nested = {"00404018": {"vr": "SQ", "Value": [nested]}}
    bodies: list[Any] = [
        nested,
        data_set(**{f"0009{n:04X}": {"vr": "LO", "Value": ["x"]} for n in range(0x1000, 0x4000)}),
        data_set(**{"00404018": {"vr": "SQ", "Value": [{}] * 9000}}),
        data_set(**{"00741204": {"vr": "LO", "Value": ["x" * 20_000]}}),
        [data_set()] * 3,
    ]
    client, wrong = made.client("reader"), []
    for body in bodies:
        answer = client.post(
            "/dicom-web/workitems?1.2.3", content=json.dumps(body), headers={"content-type": "application/dicom+json"}
        )
        wrong += [] if 400 <= answer.status_code < 500 else [(answer.status_code, answer.text[:200])]
    tally.tried("work items that nest or swell", len(bodies), failed=len(wrong))
    assert not wrong
