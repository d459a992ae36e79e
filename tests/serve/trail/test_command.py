"""`insula audit-trail` from end to end."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, delete, update
from tests.serve.trail.filled import KEY, OTHER, fill

from insula.cli.audit_trail import CHAIN_ONLY, FAULT, audit_trail
from insula.core.errors import TrailError, UsageError
from insula.serve.store.connect import reading, writing
from insula.serve.store.schema import trail
from insula.serve.trail.keys import public_key
from insula.serve.trail.rows import newest

pytestmark = pytest.mark.serve

Call = Callable[..., Result]


@pytest.fixture
def call(records: Engine, records_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The command over twenty entries."""
    fill(records, 20)
    monkeypatch.setenv("INSULA_DATABASE", records_address)
    monkeypatch.setenv("INSULA_TRAIL_KEY", KEY.decode())
    monkeypatch.setenv("INSULA_TRAIL_HEADS", str(tmp_path / "heads.jsonl"))
    return lambda *words: CliRunner().invoke(audit_trail, words)


def told(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_trail_with_a_head_holds(call: Call) -> None:
    kept = told(call("head", "--json"))
    assert kept["kept"]["seq"] == 20
    assert kept["public_key"] == public_key(KEY)
    found = call("verify", "--json")
    assert found.exit_code == 0
    assert told(found) == {
        "holds": True,
        "chain_only": False,
        "entries": 20,
        "covered": 20,
        "heads": 1,
        "spoilt_heads": 0,
        "fault": None,
    }
    again = call("head", "--if-due")
    assert again.stdout == f"No head was due: none was kept.\nPublic key: {public_key(KEY)}\n"


def test_without_a_head_it_is_said_plainly_and_the_exit_code_differs(call: Call) -> None:
    found = call("verify")
    assert found.exit_code == CHAIN_ONLY
    assert "it cannot be seen whether entries were cut off at the end" in found.stdout
    assert call("verify", "--chain-only").exit_code == 0
    assert told(call("verify", "--json"))["chain_only"] is True


def test_a_changed_entry_and_a_cut_have_an_exit_code(call: Call, records: Engine) -> None:
    call("head")
    with writing(records) as connection:
        connection.execute(delete(trail).where(trail.c.seq > 16))
    found = call("verify")
    assert found.exit_code == FAULT
    assert found.stdout.startswith("Fault at entry 17 (cut): the trail ends with 16, and a head was signed for 20")
    with writing(records) as connection:
        connection.execute(update(trail).where(trail.c.seq == 7).values(outcome="done?"))
    found = call("verify", "--json")
    assert found.exit_code == FAULT
    assert told(found)["fault"] == {"seq": 7, "kind": "changed", "said": "entry 7 is not as it was written."}
    assert isinstance(call("head").exception, TrailError)


def test_an_export_is_an_entry_and_can_be_judged_without_the_secret(
    call: Call, records: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trail.jsonl"
    assert told(call("export", "--out", str(file), "--json")) == {"file": str(file), "entries": 21}
    with reading(records) as connection:
        last = newest(connection)
    assert last is not None
    assert (last.seq, last.action, last.detail) == (21, "trail.export", '{"format":"jsonl"}')
    assert last.actor.startswith("local:")
    call("head")
    assert call("verify", str(file)).exit_code == 0
    monkeypatch.delenv("INSULA_TRAIL_KEY")
    monkeypatch.delenv("INSULA_DATABASE")
    assert call("verify", str(file), "--public-key", public_key(KEY)).exit_code == 0
    assert isinstance(call("verify", str(file)).exception, UsageError)
    file.write_text(file.read_text().replace("user1", "user2", 1))
    assert call("verify", str(file), "--public-key", public_key(KEY)).exit_code == FAULT
    file.write_text("nonsense\n")
    assert "Line 1 is no entry" in str(call("verify", str(file), "--public-key", public_key(KEY)).exception)


def test_an_export_writes_over_no_file(call: Call, records: Engine, tmp_path: Path) -> None:
    file = tmp_path / "trail.jsonl"
    file.write_text("somebody's\n")
    assert "exists already" in str(call("export", "--out", str(file)).exception)
    assert file.read_text() == "somebody's\n"
    with reading(records) as connection:
        last = newest(connection)
    assert last is not None
    assert last.seq == 20, "an export that was not made is no entry"


def test_a_filtered_export_as_csv(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "trail.csv"
    words = ("--format", "csv", "--actor", "user1", "--since", "2026-03-01T08:05:00", "--until", "2026-03-01T08:12:00")
    assert f"2 entries: {file}" in call("export", "--out", str(file), *words).stdout
    with file.open(newline="") as lines:
        assert [row["seq"] for row in csv.DictReader(lines)] == ["8", "11"]
    assert not file.with_name("trail.csv.part").exists()


@pytest.mark.parametrize(
    ("words", "unset", "said"),
    [
        (("verify",), "INSULA_DATABASE", "set INSULA_DATABASE"),
        (("verify",), "INSULA_TRAIL_KEY", "INSULA_TRAIL_KEY has 0 characters"),
        (("head",), "INSULA_TRAIL_HEADS", "set INSULA_TRAIL_HEADS"),
        (("export", "--out", "x"), "INSULA_TRAIL_KEY", "INSULA_TRAIL_KEY has 0 characters"),
        (("verify", "--public-key", "ab"), "INSULA_TRAIL_KEY", "give its file"),
    ],
)
def test_what_is_not_set_is_named(
    words: tuple[str, ...], unset: str, said: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(unset)
    found = call(*words)
    assert isinstance(found.exception, UsageError)
    assert said in str(found.exception)


def test_a_wrong_key_is_told_and_a_database_without_a_trail_too(
    call: Call, records: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSULA_TRAIL_KEY", OTHER.decode())
    found = call("verify")
    assert found.exit_code == FAULT
    assert "or INSULA_TRAIL_KEY is not the key that the trail was written with" in found.stdout
    trail.drop(records)
    assert "has no trail" in str(call("verify").exception)
    monkeypatch.setenv("INSULA_DATABASE", "postgresql://alice:secret-word@127.0.0.1:1/none")
    found = call("verify")
    assert isinstance(found.exception, UsageError)
    assert "does not answer" in str(found.exception)
    assert "secret-word" not in str(found.exception)


def test_the_command_is_there_without_the_parts_of_the_service() -> None:
    code = (
        "import sys; import insula.cli.audit_trail\n"
        "heavy = {'sqlalchemy', 'cryptography', 'pydantic', 'fsspec', 'insula.serve.settings'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    got = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 0, got.stderr
