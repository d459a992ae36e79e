from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from insula.client.answers import ENDED, Health, Job, Scan, Study
from insula.client.errors import RemoteError
from insula.client.reading import read
from insula.serve.jobs import queue

pytestmark = pytest.mark.serve

STUDY: dict[str, Any] = {
    "id": "a" * 32,
    "project_id": "b" * 32,
    "patient_id": "c" * 32,
    "patient_key": "P-1",
    "patient_name": "Doe^Jane",
    "created_at": "2026-01-31T08:00:00Z",
    "version": 1,
    "files": [{"id": "d" * 32, "role": "ct", "name": "1.dcm", "sha256": "e" * 64, "size": 7}],
}


def test_a_record_with_nested_ones_and_what_a_newer_service_adds() -> None:
    found = read(Study, {**STUDY, "colour": "blue", "files": [{**STUDY["files"][0], "pages": 3}]})
    assert found.created_at == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert [asdict(one) for one in found.files] == STUDY["files"]
    assert (found.created_by, found.title) == (None, "")


def test_what_identifies_a_patient_is_not_in_the_repr() -> None:
    found = read(Study, STUDY)
    assert found.patient_name == "Doe^Jane"
    assert "Doe" not in repr(found)
    assert "P-1" not in repr(found)


def test_numbers_as_keys_of_an_object() -> None:
    body = {"scan": "ct", "slices": 2, "rows": 4, "columns": 4, "classes": ["a"], "top": {"a": [2, 1]}}
    found = read(Scan, {**body, "weights": {"1": 0.25, "2": 1}})
    assert found.weights == {1: 0.25, 2: 1.0}
    assert found.top == {"a": (2, 1)}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"version": "1"}, "Study.version"),
        ({"version": True}, "Study.version"),
        ({"patient_key": None}, "Study.patient_key"),
        ({"created_at": "yesterday"}, "Study.created_at"),
        ({"files": {}}, "Study.files"),
        ({"files": [{**STUDY["files"][0], "size": 1.5}]}, r"Study.files\[0\].size"),
        ({"attributes": []}, "Study.attributes"),
    ],
)
def test_a_field_of_another_type_is_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(RemoteError, match=place) as caught:
        read(Study, {**STUDY, **change})
    assert caught.value.code == "bad_answer"


def test_a_missing_field_and_no_object_at_all() -> None:
    with pytest.raises(RemoteError, match=r"Health\.model_loaded.*missing"):
        read(Health, {"status": "ok"})
    with pytest.raises(RemoteError, match="Health"):
        read(Health, ["ok"])


def test_states_in_which_a_job_has_ended_are_those_of_the_service() -> None:
    assert frozenset(queue.ENDED) == ENDED
    body = {"id": "a" * 32, "kind": "predict", "state": "running", "created_at": "2026-01-31T08:00:00Z"}
    assert not read(Job, body).ended
    assert read(Job, {**body, "state": "dead"}).ended
