"""`insula predict --out`: a folder into a table, by the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tests.tiny_cohort import make

from insula.bundle.types import Bundle
from insula.cli.predict import predict
from insula.cli.predict_batch import _left, _Progress
from insula.cohort import table
from insula.core.errors import ScanError, UsageError
from insula.infer.batch_record import Counts


def ran(*words: str | Path) -> Result:
    return CliRunner().invoke(predict, [str(word) for word in words])


def test_a_folder_becomes_a_table_with_a_row_for_a_bad_file(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    make(tmp_path / "scans", patients=3)
    (tmp_path / "scans/note.txt").write_text("no scan")
    got = ran(tiny_bundle().path, tmp_path / "scans", "--out", tmp_path / "t.parquet", "--json")
    assert got.exit_code == 0, got.output
    told = json.loads(got.stdout)
    assert (told["rows"], told["failed"], told["files"], told["aside"]) == (4, 1, 7, {})
    assert pq.read_table(tmp_path / "t.parquet")["case"].to_pylist() == ["note.txt", "0", "1", "2"]


def test_a_cohort_becomes_a_table_of_its_cases(tiny_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    cohort = make(tmp_path / "scans", patients=3)
    table.save(cohort, tmp_path / "cohort.parquet")
    got = ran(tiny_bundle().path, tmp_path / "cohort.parquet", "--out", tmp_path / "t.parquet", "--readers", "1")
    assert got.exit_code == 0, got.output
    assert "3 cases of 6 files" in got.stdout
    assert "Research use only." in got.stdout
    assert pq.read_table(tmp_path / "t.parquet")["patient"].to_pylist() == ["A0", "A1", "A2"]


@pytest.mark.parametrize(
    "words", [["a", "b", "--out", "t.parquet"], ["--scan", "ct=a", "--out", "t.parquet"], ["a", "--readers", "2"]]
)
def test_what_does_not_go_together_is_refused(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path, words: list[str]
) -> None:
    error = ran(tiny_bundle().path, *words).exception
    assert isinstance(error, UsageError)
    assert "--out" in str(error)


def test_what_is_no_folder_is_told_and_leaves_nothing_behind(
    tiny_bundle: Callable[..., Bundle], tmp_path: Path
) -> None:
    """It was said to hold no file, and left the folder of a table that was never begun."""
    make(tmp_path / "scans", patients=1)
    (tmp_path / "note.txt").write_text("no scan")
    bundle, out = tiny_bundle().path, tmp_path / "new/t.parquet"
    missing = ran(bundle, tmp_path / "nope", "--out", out).exception
    assert isinstance(missing, ScanError)
    assert f"There is no folder '{tmp_path / 'nope'}'" in str(missing)
    for name in ("note.txt", "scans/0/0.dcm"):
        for more in ((), ("--cluster", "local")):
            error = ran(bundle, tmp_path / name, "--out", out, *more).exception
            assert isinstance(error, UsageError)
            assert f"'{tmp_path / name}' is a file and no folder of scans" in str(error)
    assert not out.parent.exists()


def test_progress_tells_files_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr("insula.cli.predict_batch.time.monotonic", lambda: now)
    watch = _Progress(None)
    watch.total = 1000
    now = 20.0
    watch(Counts(accepted=60, kept=20, files=120))
    watch(Counts(accepted=61, kept=20, files=122))  # too soon to say more
    said = capsys.readouterr().err.splitlines()
    assert said == ["  120 of 1000 files, 60 cases, 2.0 a second, 4 min left"]
    assert [_left(s) for s in (3.2, 100, 8000, 40_000)] == ["3 s", "2 min", "2.2 h", "11.1 h"]
