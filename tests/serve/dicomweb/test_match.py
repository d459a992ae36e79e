"""Matching keys and media types, by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request

from insula.serve.dicomweb.match import Key, fits, page, path_of, search_of
from insula.serve.dicomweb.media import accepted, parsed
from insula.serve.faults import RequestError

ITEM: dict[str, Any] = {
    "00080020": {"vr": "DA", "Value": ["20260102"]},
    "00080060": {"vr": "CS", "Value": ["CT"]},
    "00080061": {"vr": "CS", "Value": ["CT", "SR"]},
    "00100010": {"vr": "PN", "Value": [{"Ideographic": "王^小东"}]},
    "00081030": {"vr": "LO", "Value": ["head [native]"]},
    "00200011": {"vr": "IS", "Value": [7]},
    "00081110": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {"00081155": {"vr": "UI"}}]},
    "00100020": {"vr": "LO"},
}


def asked(query: str, accept: str = "") -> Request:
    headers = [(b"accept", accept.encode())] if accept else []
    return Request({"type": "http", "method": "GET", "query_string": query.encode(), "headers": headers})


@pytest.mark.parametrize(
    ("path", "value", "whether"),
    [
        ("StudyDate", "20260102", True),
        ("StudyDate", "2026", True),
        ("StudyDate", "20260101-20260102", True),
        ("StudyDate", "20260103-", False),
        ("StudyDate", "-20260101", False),
        ("StudyDate", "-", True),
        ("Modality", "ct", False),
        ("ModalitiesInStudy", "SR", True),
        ("PatientName", "王*", True),
        ("StudyDescription", "head [n*", True),
        ("StudyDescription", "head n", False),
        ("StudyDescription", "head ?native?", True),
        ("SeriesNumber", "7", True),
        ("00081110.00081155", "1.2", True),
        ("00081110.00081155", "1.3", False),
        ("PatientID", "*", True),
        ("PatientID", "x", False),
        ("AccessionNumber", "x", False),
    ],
)
def test_an_attribute_fits_or_does_not(path: str, value: str, whether: bool) -> None:
    assert fits(Key(path_of(path), (value,)), ITEM) == whether


def test_a_query_is_read() -> None:
    search = search_of(asked("StudyInstanceUID=1.2,1.3%5C1.4&PatientName=Doe,J&limit=5&offset=2&includefield=all"))
    assert [one.values for one in search.keys] == [("1.2", "1.3", "1.4"), ("Doe,J",)]
    assert (search.limit, search.offset, search.all) == (5, 2, True)
    assert search.value("0020000D") == ""
    assert search_of(asked("limit=100000")).limit == 200
    assert page([{}] * 10, search) == ([{}] * 5, 3)


@pytest.mark.parametrize(
    "query", ["limit=x", "offset=1e3", "Nope=1", "PatientID.Nope=1", "&".join(["PatientID=1"] * 40)]
)
def test_a_query_that_is_none_is_refused(query: str) -> None:
    with pytest.raises(RequestError) as caught:
        search_of(asked(query))
    assert caught.value.status == 400


def test_media_types_are_read_as_they_are_written() -> None:
    text = 'multipart/related; type="application/dicom"; transfer-syntax=*;q=0.5, application/dicom+json'
    first, second = accepted(asked("", text))
    assert (first.kind, second.parameters) == (
        "application/dicom+json",
        {"type": "application/dicom", "transfer-syntax": "*"},
    )
    assert [one.kind for one in accepted(asked("accept=application/dicom", text))] == ["application/dicom"]
    assert [one.kind for one in accepted(asked(""))] == ["*/*"]
    assert accepted(asked("", "text/html;q=0")) == []
    assert parsed('a/b; x="1, 2; 3"').parameters == {"x": "1, 2; 3"}
    assert parsed("").kind == ""
    assert parsed("a/b;q=nonsense").quality == 0.0
