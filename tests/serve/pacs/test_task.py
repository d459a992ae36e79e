"""What a work item asks for, and what is written back, without a network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pydicom
import pytest
from tests.serve.dicomweb.made import code, values, workitem

from insula.serve.dicomweb import ups
from insula.serve.pacs import task
from insula.serve.pacs.peers import parse
from insula.serve.pacs.task import Input, Output, TaskError

pytestmark = pytest.mark.serve
PEERS = parse(
    "web=https://pacs.example/dicom-web archive=dicom://ARCHIVE@pacs.example:104 fhir=fhir+https://x.example/f"
)
AT = datetime(2026, 11, 26, 8, tzinfo=UTC)
STUDY = "1.2.840.1"


def urls(*found: str, tag: str = "0040E025", inner: str = "00081190") -> dict[str, Any]:
    return {tag: {"vr": "SQ", "Value": [{inner: {"vr": "UR", "Value": [url]}} for url in found]}}


def given(**more: Any) -> dict[str, Any]:
    return {"0020000D": {"vr": "UI", "Value": [STUDY]}, "0040E020": {"vr": "CS", "Value": ["DICOM"]}, **more}


def item(*inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return workitem(t00404021={"vr": "SQ", "Value": list(inputs)}, **more)


def test_input_is_where_the_work_item_says() -> None:
    by_url = given(**urls("https://pacs.example/dicom-web/studies/1.2.840.1"))
    assert task.inputs_of(item(by_url), PEERS, "manager") == (Input(STUDY, frozenset(), frozenset(), ("web",)),)
    titled = {"0040E021": {"vr": "SQ", "Value": [{"00080054": {"vr": "AE", "Value": ["ARCHIVE"]}}]}}
    assert task.inputs_of(item(given(**titled)), PEERS, "manager")[0].peers == ("archive",)
    both = given(**titled, **urls("https://pacs.example/dicom-web/studies/1.2.840.1"))
    assert task.inputs_of(item(both), PEERS, "manager")[0].peers == ("web", "archive")
    assert task.inputs_of(item(given()), PEERS, "manager")[0].peers == ("manager",)


def test_series_and_instances_are_those_that_are_named() -> None:
    row = given(
        **{
            "0020000E": {"vr": "UI", "Value": ["1.2.840.2", "no UID"]},
            "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.840.3"]}}]},
        }
    )
    (found,) = task.inputs_of(item(row), PEERS, "manager")
    assert (found.series, found.instances) == (frozenset({"1.2.840.2"}), frozenset({"1.2.840.3"}))


@pytest.mark.parametrize(
    "url",
    [
        "https://pacs.example/dicom-web-of-others/studies/1",
        "https://pacs.example:8443/dicom-web/studies/1",
        "https://pacs.example:x/dicom-web/studies/1",
        "https://pacs.example.evil.example/dicom-web/studies/1",
        "https://pacs.example@evil.example/dicom-web/studies/1",
        "http://pacs.example/dicom-web/studies/1",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
    ],
)
def test_no_other_address_is_gone_to(url: str) -> None:
    with pytest.raises(TaskError, match="where this node does not go"):
        task.inputs_of(item(given(**urls(url))), PEERS, "manager")
    destination = urls(url, tag="00404072", inner="00404073")
    wanted = item(given(), t00404070={"vr": "SQ", "Value": [destination]})
    with pytest.raises(TaskError, match="where this node does not go"):
        task.destinations_of(wanted, PEERS)


@pytest.mark.parametrize(
    "row", [{}, {"0020000D": {"vr": "UI", "Value": ["../.."]}}, given(**{"0040E020": {"vr": "CS", "Value": ["CDA"]}})]
)
def test_an_input_that_is_no_study_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(TaskError):
        task.inputs_of(item(row), PEERS, "manager")


def test_there_are_not_too_many_inputs() -> None:
    assert len(task.inputs_of(item(*[given()] * 32), PEERS, "manager")) == 32
    with pytest.raises(TaskError, match="more than 32"):
        task.inputs_of(item(*[given()] * 33), PEERS, "manager")
    with pytest.raises(TaskError, match="no input"):
        task.inputs_of(workitem(), PEERS, "manager")


def test_results_go_where_the_work_item_wants_them() -> None:
    titled = {"00404071": {"vr": "SQ", "Value": [{"21000140": {"vr": "AE", "Value": ["ARCHIVE"]}}]}}
    stored = urls("https://pacs.example/dicom-web/studies", tag="00404072", inner="00404073")
    wanted = item(given(), t00404070={"vr": "SQ", "Value": [titled, stored, stored]})
    assert task.destinations_of(wanted, PEERS) == ("archive", "web")
    assert task.destinations_of(item(given()), PEERS) == ()


@pytest.mark.parametrize(
    ("stations", "work", "whether"),
    [
        (["INSULA"], "ANYTHING", True),
        (["OTHER", "INSULA"], "ANYTHING", True),
        (["OTHER"], "heads", False),
        ([], "heads", True),
        ([], "ANYTHING", False),
    ],
)
def test_a_work_item_is_ours_by_its_station_or_its_code(stations: list[str], work: str, whether: bool) -> None:
    rows = [code(one, "99SITE", one) for one in stations]
    found = workitem(
        t00404025={"vr": "SQ", "Value": rows}, t00404018={"vr": "SQ", "Value": [code(work, "99SITE", "x")]}
    )
    assert task.is_ours(found, "INSULA", {"heads", "brains"}) == whether


@pytest.mark.parametrize(
    ("start", "whether"),
    [
        ("20261126075959+0000", True),
        ("20261126080001+0000", False),
        ("20261126090000+0200", True),
        ("nonsense", True),
        ("", True),
        ("00010101000000+1400", True),  # in UTC that is before the first year
        ("99991231235959-1200", True),
    ],
)
def test_a_work_item_is_due_at_its_start(start: str, whether: bool) -> None:
    assert task.is_due(workitem(t00404005={"vr": "DT", "Value": [start]}), AT) == whether


def test_the_urgent_come_first_then_the_early() -> None:
    def one(priority: str, start: str) -> dict[str, Any]:
        return workitem(t00741200={"vr": "CS", "Value": [priority]}, t00404005={"vr": "DT", "Value": [start]})

    low, late, early, high = one("LOW", "2020"), one("MEDIUM", "2026"), one("MEDIUM", "2025"), one("HIGH", "2030")
    assert task.in_order([low, late, early, high]) == [high, early, late, low]


def test_what_is_written_back_meets_the_final_states() -> None:
    scheduled = {**workitem(), "00404010": {"vr": "DT", "Value": ["20261126080000"]}}
    output = [Output(STUDY, "1.2.3", "1.2.4", f"1.2.5.{n}") for n in (1, 2)] + [
        Output(STUDY, "1.2.9", "1.2.4", "1.2.6")
    ]
    done = task.performed(scheduled, "INSULA", AT, AT + timedelta(minutes=1), output, PEERS["web"])
    assert ups.unmet(scheduled | done, "COMPLETED") == ""
    assert ups.unmet(scheduled | done, "CANCELED") != ""
    assert ups.unmet(scheduled | task.cancelled("It cannot be.", AT), "CANCELED") == ""
    rows = values(values(done, "00741216")[0], "00404033")
    assert [len(values(row, "00081199")) for row in rows] == [2, 1], "one item for each series"
    assert values(values(rows[0], "0040E025")[0], "00081190") == [
        f"https://pacs.example:443/dicom-web/studies/{STUDY}/series/1.2.3"
    ]
    by_title = task.performed(scheduled, "INSULA", AT, AT, output, PEERS["archive"])
    row = values(values(by_title, "00741216")[0], "00404033")[0]
    assert values(values(row, "0040E021")[0], "00080054") == ["ARCHIVE"]
    read = pydicom.Dataset.from_json(scheduled | done)
    assert read.UnifiedProcedureStepPerformedProcedureSequence[0].OutputInformationSequence[0].StudyInstanceUID == STUDY
