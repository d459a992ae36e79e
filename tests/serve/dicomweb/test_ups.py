"""The states of a work item, one by one, as PS3.4 table CC.1.1-2 has them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.serve.dicomweb.made import code, values, workitem

from insula.serve.dicomweb import ups
from insula.serve.faults import RequestError

AT = datetime(2026, 11, 26, 8, tzinfo=UTC)


def made() -> dict[str, Any]:
    return ups.created(workitem(), "1.2.3", "Inside", AT)[0]


def done() -> dict[str, Any]:
    performed = {
        tag: {"vr": "LO", "Value": ["x"]} for tag in ("00404028", "00404050", "00404051", "00404019", "00404033")
    }
    progress = {"00404052": {"vr": "DT", "Value": ["2026"]}, "0074100E": {"vr": "SQ", "Value": [ups.UNSPECIFIED]}}
    return made() | {"00741216": {"vr": "SQ", "Value": [performed]}, "00741002": {"vr": "SQ", "Value": [progress]}}


@pytest.mark.parametrize(
    ("state", "target", "holds", "expected"),
    [
        ("SCHEDULED", "IN PROGRESS", False, 200),
        ("SCHEDULED", "SCHEDULED", False, 400),
        ("SCHEDULED", "COMPLETED", False, 409),
        ("SCHEDULED", "CANCELED", False, 409),
        ("IN PROGRESS", "IN PROGRESS", True, 409),
        ("IN PROGRESS", "SCHEDULED", True, 400),
        ("IN PROGRESS", "COMPLETED", True, 200),
        ("IN PROGRESS", "COMPLETED", False, 400),
        ("IN PROGRESS", "CANCELED", True, 200),
        ("IN PROGRESS", "CANCELED", False, 400),
        ("COMPLETED", "IN PROGRESS", True, 409),
        ("COMPLETED", "COMPLETED", True, 299),
        ("COMPLETED", "COMPLETED", False, 400),
        ("COMPLETED", "CANCELED", True, 409),
        ("CANCELED", "IN PROGRESS", True, 409),
        ("CANCELED", "COMPLETED", True, 409),
        ("CANCELED", "CANCELED", True, 299),
        ("CANCELED", "CANCELED", False, 400),
        ("IN PROGRESS", "FINISHED", True, 400),
    ],
)
def test_a_state_follows_another_or_does_not(state: Any, target: str, holds: bool, expected: int) -> None:
    if expected in (200, 299):
        assert bool(ups.moved(done(), state, target, holds)) == (expected == 299)
        return
    with pytest.raises(RequestError) as caught:
        ups.moved(done(), state, target, holds)
    assert caught.value.status == expected
    assert caught.value.headers["Warning"].startswith("299 insula: ")


@pytest.mark.parametrize("tag", ["00404028", "00404050", "00404051", "00404019", "00404033"])
def test_nothing_is_complete_without_what_was_done(tag: str) -> None:
    item = done()
    del item["00741216"]["Value"][0][tag]
    assert ups.unmet(item, "COMPLETED") == tag
    assert ups.unmet(item, "CANCELED") == ""


@pytest.mark.parametrize("tag", ["00404052", "0074100E"])
def test_nothing_is_cancelled_without_why(tag: str) -> None:
    item = done()
    del item["00741002"]["Value"][0][tag]
    assert ups.unmet(item, "CANCELED") == tag
    assert ups.unmet(item, "COMPLETED") == ""


def test_a_new_one_has_all_that_may_be_empty_and_when_it_was_made() -> None:
    item, mended = ups.created(workitem(), "1.2.3", "Inside", AT)
    assert mended
    assert list(item) == sorted(item)
    assert values(item, "00404010") == ["20261126080000.000000+0000"]
    assert {"00404021", "00741216", "0040A370", "00100010"} <= item.keys()
    whole, mended = ups.created({**item, "00404010": {"vr": "DT"}}, "1.2.3", "Inside", AT)
    assert (whole, mended) == (item, False)


def test_a_cancelled_one_says_whom_to_ask() -> None:
    asked: dict[str, Any] = {
        "00741238": {"vr": "LT", "Value": ["Twice"]},
        "0074100E": {"vr": "SQ", "Value": [code("110514", "DCM", "Incorrect worklist entry selected")]},
        "0074100A": {"vr": "UR", "Value": ["tel:+49-1"]},
        "0074100C": {"vr": "LO", "Value": ["Ward 7"]},
    }
    progress = values(ups.cancelled(made(), asked, AT), "00741002")[0]
    assert values(values(progress, "0074100E")[0], "00080100") == ["110514"]
    assert values(values(progress, "00741008")[0], "0074100C") == ["Ward 7"]
    assert ups.unmet(ups.cancelled(made(), {}, AT), "CANCELED") == ""


@pytest.mark.parametrize(
    ("query", "given", "found"),
    [
        ({"workitem": "1.2.3"}, {}, "1.2.3"),
        ({"1.2.3": ""}, {}, "1.2.3"),
        ({"AffectedSOPInstanceUID": "1.2.3"}, {}, "1.2.3"),
        ({}, {"00080018": {"vr": "UI", "Value": ["1.2.3"]}}, "1.2.3"),
        ({"workitem": "1.02.3"}, {}, None),
        ({"x": ""}, {}, None),
    ],
)
def test_a_new_one_is_named_as_each_edition_of_the_standard_has_it(
    query: dict[str, str], given: dict[str, Any], found: str | None
) -> None:
    if found is None:
        with pytest.raises(RequestError, match="no UID"):
            ups.name_of(given, query)
    else:
        assert ups.name_of(given, query) == found
