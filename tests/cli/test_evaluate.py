from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import tiny_bundle, tiny_cohort

from insula.cli import main
from insula.cohort import table
from insula.core.errors import EvaluationError
from insula.core.types import Split

FILES = {"report.html", "report.json", "predictions.parquet", "heatmaps"}


def insula(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["insula", *map(str, words)])
    try:
        main.run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def made(root: Path, split: Split = "test") -> tuple[Path, Path]:
    """A bundle and a cohort's table."""
    path = root / "cohort.parquet"
    table.save(tiny_cohort.make(root / "scans", split=split), path)
    return tiny_bundle.make(root).path, path


def test_a_report_is_written_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path)
    out = tmp_path / "out"
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--gallery", 1, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {p.name for p in out.iterdir()} == FILES
    assert told.pop("report") == str(out / "report.html")
    assert told == json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert told["patient"]["patients"] == 8
    assert told["optimistic"] == told["failures"] == []
    assert len(list((out / "heatmaps").iterdir())) == (out / "report.html").read_text(encoding="utf-8").count("<img ")


def test_what_else_lies_in_the_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path, split="")
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    (out / "report.html").write_text("old")
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", out, "--split", "all", "--gallery", 0) == 0
    assert (out / "mine.txt").read_text() == "precious"
    assert {p.name for p in out.iterdir()} == FILES - {"heatmaps"} | {"mine.txt"}
    text = capsys.readouterr().out
    headline = json.loads((out / "report.json").read_text(encoding="utf-8"))["headline"]
    assert text.startswith(headline)
    assert text.endswith(f"Report: {out / 'report.html'}\n")
    assert headline in (out / "report.html").read_text(encoding="utf-8")


def test_a_cohort_without_the_split_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, cohort = made(tmp_path, split="")
    assert insula(monkeypatch, "evaluate", bundle, cohort, "--out", tmp_path / "out") == EvaluationError.exit_code
    assert "--split all" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_reports_place_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("precious")
    assert insula(monkeypatch, "evaluate", tmp_path / "no-bundle", tmp_path / "none", "--out", tmp_path / "out") == 2
    assert "out' is a file" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "precious"
