from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.report import made_audit, made_report

from insula.serve.models.beside import beside

pytestmark = pytest.mark.serve
ID = "ab12" * 4


def evaluated(bundle: str | None = ID) -> dict[str, Any]:
    return {**made_report.record(), "model": {"bundle": bundle} if bundle else None}


def audited(bundle: str = ID) -> dict[str, Any]:
    held = made_audit.held(made_audit.plain())
    return {**held, "facts": {**held["facts"], "bundle": bundle}}


def put(folder: Path, name: str, content: Any) -> Path:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder / "one"


def test_records_of_this_bundle_are_found_by_the_bundles_name(tmp_path: Path) -> None:
    bundle = put(tmp_path, "one.report.json", evaluated())
    put(tmp_path, "one.audit.json", audited())
    report, audit = beside(bundle, ID, "report"), beside(bundle, ID, "audit")
    assert (report.file, report.reason) == ("one.report.json", "")
    assert report.record is not None
    assert report.record["facts"]["name"] == "made-ct"
    assert (audit.file, audit.reason) == ("one.audit.json", "")
    assert audit.record is not None
    assert audit.record["verdict"] == "fail"


def test_where_none_lies_there_is_none_and_no_reason(tmp_path: Path) -> None:
    found = beside(tmp_path / "one", ID, "audit")
    assert (found.file, found.record, found.reason) == ("one.audit.json", None, "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (evaluated("cd34" * 4), "It is of the bundle cd34cd34cd34cd34, and this one is"),
        (evaluated(None), "It is of no bundle"),
        ({**evaluated(), "schema": 99}, "no record of schema 1"),
        (audited(), "no record of schema 1 of insula evaluate"),
        ([1], "no record"),
        ({}, "no record"),
    ],
)
def test_another_record_is_refused_with_a_reason(tmp_path: Path, content: Any, reason: str) -> None:
    found = beside(put(tmp_path, "one.report.json", content), ID, "report")
    assert found.record is None
    assert reason in found.reason


def test_an_audit_of_another_bundle_and_what_is_no_json_are_refused(tmp_path: Path) -> None:
    bundle = put(tmp_path, "one.audit.json", audited("cd34" * 4))
    assert "run insula audit on this one" in beside(bundle, ID, "audit").reason
    put(tmp_path, "one.audit.json", evaluated())
    assert "of insula audit" in beside(bundle, ID, "audit").reason
    (tmp_path / "one.audit.json").write_bytes(b"\xff{")
    assert beside(bundle, ID, "audit").reason == "It is no JSON; copy it here again."


def test_a_file_that_was_exchanged_is_read_anew(tmp_path: Path) -> None:
    bundle = put(tmp_path, "one.report.json", evaluated("cd34" * 4))
    assert beside(bundle, ID, "report").record is None
    put(tmp_path, "one.report.json", evaluated())
    os.utime(tmp_path / "one.report.json", (1, 1))
    assert beside(bundle, ID, "report").record is not None
