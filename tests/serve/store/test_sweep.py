"""Files that no record names go, those that one names stay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.serve.store.made_records import files_at, predicted, project, put, study

from insula.serve.jobs import queue
from insula.serve.store import predictions, studies
from insula.serve.store.connect import reading, writing
from insula.serve.store.errors import MissingFileError
from insula.serve.store.sweep import sweep

pytestmark = pytest.mark.serve
LATER = datetime.now(UTC) + timedelta(days=2)


def test_only_files_without_a_record_are_swept(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    named, made, of_job, orphan = (put(files, content) for content in (b"scan", b"map", b"zip", b"left"))
    with writing(records) as connection:
        one = study(connection, project(connection))
        studies.add_files(connection, files, one, "ct", [("a.nii", named)])
        predictions.add_artefact(connection, files, predicted(connection, one), "map", "ct", made, "image/png")
        queue.put(connection, queue.Wanted("export", {"file": of_job.sha256}), LATER)
    with reading(records) as connection:
        told = sweep(connection, files, LATER, dry=True)
    assert (told.files, told.bytes) == (1, 4)
    assert files.has(orphan.sha256)
    with writing(records) as connection:
        assert sweep(connection, files, LATER) == told
    assert not files.has(orphan.sha256)
    assert all(files.has(kept.sha256) for kept in (named, made, of_job))
    with writing(records) as connection:
        assert sweep(connection, files, LATER).files == 0


def test_a_file_that_was_put_lately_is_left_to_be_named(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    fresh = put(files, b"being uploaded")
    with writing(records) as connection:
        assert sweep(connection, files, datetime.now(UTC) - timedelta(days=1)).files == 0
    assert files.has(fresh.sha256)


def test_a_file_that_was_swept_cannot_be_named(records: Engine, tmp_path: Path) -> None:
    files = files_at(tmp_path)
    stored = put(files, b"left")
    with writing(records) as connection:
        sweep(connection, files, LATER)
    with pytest.raises(MissingFileError, match="send it again"), writing(records) as connection:
        studies.add_files(connection, files, study(connection, project(connection)), "ct", [("a", stored)])
