"""One way to ask both kinds of peer."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from tests.serve.pacs.made_peers import STUDY, Answer, archive, folder_of, found, scan, settings, web

from insula.core.errors import MissingPartError, UsageError
from insula.serve.pacs import find as asking
from insula.serve.pacs.outcome import files_of, ready
from insula.serve.pacs.push import push
from insula.serve.pacs.query import Query


def test_either_kind_answers_alike(tmp_path: Path) -> None:
    row = {"0020000D": {"Value": ["1.2.3.1"]}, "00080020": {"Value": ["20260101"]}}
    with archive() as there, web(lambda said: Answer(200, json.dumps([row]).encode())) as (address, _):
        there.answers = [found(1)]
        known = [settings(one) for one in (there.address, address)]
        answers = [asking.find(one, one.peer["archive"], Query(patient_name="Doe")) for one in known]
        assert all(asking.echo(one, one.peer["archive"]) > 0 for one in known)
        assert asking.series(known[1], known[1].peer["archive"], STUDY) == ()
        objects = [ready(path) for path in files_of([folder_of(tmp_path, [scan()])])]
        assert [one.taken for one in push(known[0], known[0].peer["archive"], objects)] == [True]
    assert answers[0] == answers[1]
    assert str(there.asked[0].PatientName) == "Doe*"


def test_a_question_that_is_none_is_not_asked() -> None:
    known = settings("dicom://ARCHIVE@127.0.0.1:1")
    with pytest.raises(UsageError, match="limit"):
        asking.find(known, known.peer["archive"], Query(limit=0))


@pytest.mark.parametrize("address", ["mllp://127.0.0.1:1", "fhir+http://127.0.0.1:1"])
def test_a_peer_that_takes_messages_has_no_studies(address: str) -> None:
    known = settings(address)
    with pytest.raises(UsageError, match="has no studies"):
        asking.echo(known, known.peer["archive"])


def test_a_part_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> Any:
        return None if name == "pynetdicom" else real(name, package)

    monkeypatch.setattr(asking, "find_spec", without)
    known = settings("dicom://ARCHIVE@127.0.0.1:1")
    with pytest.raises(MissingPartError, match=r"insula\[pacs\]"):
        asking.echo(known, known.peer["archive"])
