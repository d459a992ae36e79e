"""Files of a study lie by role, in their order, and each is known for what it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.serve.store.made_records import files_at, put

from insula.serve.fetched import fetched
from insula.serve.store.studies import StudyFile

pytestmark = pytest.mark.serve


def test_files_lie_by_role_in_their_order(tmp_path: Path) -> None:
    files = files_at(tmp_path / "store")
    named = []
    for number, role in enumerate(("ct", "ct.2", "ct", "../mri")):
        kept = put(files, b"%d" % number)
        named.append(StudyFile(f"id-{number}", role, "a", kept.sha256, kept.size, datetime(2026, 1, 1, tzinfo=UTC)))
    home = tmp_path / "home"
    home.mkdir()
    found = fetched(files, named, home)
    assert {role: [path.read_bytes() for path in paths] for role, paths in found.by_role.items()} == {
        "ct": [b"0", b"2"],
        "ct.2": [b"1"],
        "../mri": [b"3"],
    }
    assert {path.read_bytes(): row.id for path, row in found.rows.items()} == {b"%d" % n: f"id-{n}" for n in range(4)}
    assert len({path.parent for path in found.rows}) == 3
    assert all(path.parent.parent == home for path in found.rows)
    assert all(paths == sorted(paths) for paths in found.by_role.values())
