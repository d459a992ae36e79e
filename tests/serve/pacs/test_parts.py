"""Multipart answers, however they are cut into blocks."""

from __future__ import annotations

from random import Random

import pytest

from insula.serve.pacs.parts import boundary_of, parts

CONTENTS = [b"one", b"", b"\r\n--other\r\n\r\n", b"\r\n--bb\r\n", bytes(range(256)) * 20, b"\r\n--", b"\r\n"]


def body(contents: list[bytes], boundary: bytes = b"b", preamble: bytes = b"", last: bytes = b"--\r\n") -> bytes:
    head = b"Content-Type: application/dicom\r\nContent-Length: 7"
    return (
        preamble
        + b"".join(b"\r\n--" + boundary + b"\r\n" + head + b"\r\n\r\n" + c for c in contents)
        + (b"\r\n--" + boundary + last)
    )


def cut(data: bytes, seed: int) -> list[bytes]:
    random, blocks, at = Random(seed), [], 0
    while at < len(data):
        size = random.choice([1, 2, 3, 7, 50, 1000])
        blocks.append(data[at : at + size])
        at += size
    return blocks


@pytest.mark.parametrize("seed", range(20))
def test_parts_come_whole_however_the_body_is_cut(seed: int) -> None:
    assert list(parts(cut(body(CONTENTS), seed), b"b", 10_000)) == CONTENTS


@pytest.mark.parametrize("preamble", [b"", b"to be passed over", b"\r\n"])
def test_the_first_boundary_may_begin_the_body_or_follow_a_preamble(preamble: bytes) -> None:
    whole = body([b"x"], preamble=preamble)
    assert list(parts([whole], b"b", 10)) == [b"x"]
    assert list(parts([whole.removeprefix(b"\r\n")], b"b", 10)) == [b"x"]


def test_a_part_without_headers() -> None:
    assert list(parts([b"--b\r\n\r\nx\r\n--b--"], b"b", 10)) == [b"x"]


def test_what_follows_the_last_boundary_is_passed_over() -> None:
    assert list(parts([body([b"x"]) + b"more\r\n--b\r\n\r\ny\r\n--b--"], b"b", 10)) == [b"x"]


def test_parts_before_a_fault_are_given() -> None:
    given = parts([body([b"x", b"y"]).removesuffix(b"\r\n--b--\r\n")], b"b", 10)
    assert next(given) == b"x"
    with pytest.raises(ValueError, match="ends before"):
        next(given)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "ends before"),
        (body([b"x" * 40_000]), "longer"),
        (b"p" * 40_000, "longer"),
        (b"--b\r\nno end of headers\r\n--b--", "no end"),
    ],
)
def test_faults(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        list(parts(cut(data, 1), b"b", 100))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ('multipart/related; type="application/dicom"; boundary="a b"', b"a b"),
        ("multipart/related; Boundary=xyz; type=application/dicom", b"xyz"),
        ("multipart/related;boundary=xyz", b"xyz"),
    ],
)
def test_boundaries(kind: str, found: bytes) -> None:
    assert boundary_of(kind) == found


@pytest.mark.parametrize("kind", ["multipart/related", "text/html; boundary=", '; boundary=""'])
def test_no_boundary(kind: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        boundary_of(kind)
