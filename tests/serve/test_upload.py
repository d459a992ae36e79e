"""A form that is cut short is no form of fewer files."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from insula.serve.faults import RequestError
from insula.serve.upload import form_of

pytestmark = pytest.mark.serve
PART = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nDICM\r\n'


async def count(request: Request) -> PlainTextResponse:
    try:
        async with form_of(request, 10) as form:
            return PlainTextResponse(str(len(form.getlist("files"))))
    except RequestError as error:
        return PlainTextResponse(f"{error.fault_code}: {error}", 400)


def said(body: bytes, kind: str = "multipart/form-data; boundary=x") -> str:
    client = TestClient(Starlette(routes=[Route("/", count, methods=["POST"])]))
    return client.post("/", content=body, headers={"content-type": kind}).text


@pytest.mark.parametrize("end", [b"--x--\r\n", b"--x--", b"--x--\r\nan epilogue"])
def test_a_whole_form_is_taken(end: bytes) -> None:
    assert said(PART * 2 + end) == "2"
    assert said(PART + end, 'multipart/form-data; boundary="x"') == "1"


@pytest.mark.parametrize("end", [b"", b"--x", b"--x\r\n", b"--x\r\nContent-Disp", b"--x-", PART[:-4]])
def test_a_form_cut_short_between_its_files_is_refused(end: bytes) -> None:
    assert said(PART * 2 + end).startswith("bad_form: The form cannot be read (it ends before its last boundary)")
