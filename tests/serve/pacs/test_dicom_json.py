"""Attributes in the DICOM JSON model, from servers that write them well and from others."""

from __future__ import annotations

from typing import Any

import pytest

from insula.serve.pacs.dicom_json import numbers, rows_of, series_of, studies_of, text, texts, values
from insula.serve.pacs.query import FoundSeries, FoundStudy

STUDY: dict[str, Any] = {
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00080020": {"vr": "DA", "Value": ["20260102"]},
    "00080030": {"vr": "TM", "Value": ["101112.5"]},
    "00080050": {"vr": "SH", "Value": ["A1"]},
    "00080061": {"vr": "CS", "Value": ["MR", "CT"]},
    "00081030": {"vr": "LO", "Value": ["Head"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane", "Ideographic": "", "Phonetic": "d"}]},
    "00100020": {"vr": "LO", "Value": ["P1"]},
    "00100030": {"vr": "DA"},
    "00201206": {"vr": "IS", "Value": [2]},
    "00201208": {"vr": "IS", "Value": ["30"]},
}


def test_a_study() -> None:
    assert studies_of([STUDY]) == [
        FoundStudy("1.2.3", "20260102", "101112.5", "P1", "Doe^Jane==d", "", "A1", ("CT", "MR"), "Head", 2, 30)
    ]


def test_series() -> None:
    rows = [
        {"0020000E": {"Value": ["1.1"]}, "00200011": {"Value": [10]}},
        {"0020000E": {"Value": ["1.2"]}, "00200011": {"Value": [2]}, "00080060": {"Value": ["CT"]}},
    ]
    assert series_of(rows) == (FoundSeries("1.2", "CT", 2), FoundSeries("1.1", "", 10))


HOSTILE: list[Any] = [
    None, 1, "x", [], {}, {"Value": None}, {"Value": {}}, {"Value": [None]}, {"Value": [[1]]}, {"Value": [{"a": 1}]},
    {"Value": [{"Alphabetic": ["x"]}]}, {"Value": [True]}, {"Value": [1e400]}, {"Value": ["\x00"]}, {"vr": []},
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_attributes_that_are_none_break_nothing(hostile: Any) -> None:
    row = dict.fromkeys(STUDY, hostile) | {"0020000D": {"Value": ["1.2.3"]}}
    (found,) = studies_of([row])
    assert found.study_uid == "1.2.3"
    assert found.instances is None
    assert studies_of([{"0020000D": hostile}]) in ([], [FoundStudy(t) for t in texts({"x": hostile}, "x")])
    assert isinstance(values({"x": hostile}, "x"), list)
    assert all(isinstance(one, dict) for one in rows_of(hostile))
    assert numbers({"x": hostile}, "x") == []


def test_many_values_are_cut_and_long_ones_too() -> None:
    assert len(texts({"x": {"Value": ["a"] * 10_000}}, "x")) == 64
    assert text({"x": {"Value": ["a" * 10_000]}}, "x", 16) == "a" * 16
