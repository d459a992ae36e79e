from __future__ import annotations

import base64
import errno
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests import tiny_bundle, tiny_cohort
from tests.report.parsed import Page

from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.errors import EvaluationError
from insula.core.types import Cohort
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import evaluate
from insula.infer.conformal import prediction_set
from insula.infer.predict import Predictor
from insula.report import folder, record

FILES = {"report.html", "report.json", "cases.parquet", "model-card.md", "checklists.json"}


@dataclass(frozen=True)
class Judged:
    report: EvaluationReport
    bundle: Bundle
    cohort: Cohort
    predictor: Predictor

    def write(self, out: Path, each: int = 2) -> Path:
        return folder.write(self.report, self.bundle, self.cohort, out, each, self.predictor)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    root = tmp_path_factory.mktemp("made")
    bundle, cohort = tiny_bundle.make(root), tiny_cohort.make(root / "scans")
    predictor = Predictor(bundle)
    return Judged(evaluate(bundle, cohort, predictor=predictor, passes=2, replicates=60), bundle, cohort, predictor)


@pytest.fixture(autouse=True)
def at_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports say when they were made; here always at the same time."""
    told = provenance.record() | {"created": "2026-01-02T03:04:05+00:00"}
    monkeypatch.setattr(provenance, "record", lambda **facts: told | facts)


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def held(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return found


def test_a_report_is_a_page_its_figures_its_predictions_and_its_pictures(judged: Judged, tmp_path: Path) -> None:
    path = judged.write(tmp_path / "a/b")
    assert path == tmp_path / "a/b/report.html"
    found = content(tmp_path / "a/b")
    pictures = sorted(name for name in found if name.startswith("heatmaps/"))
    assert set(found) == FILES | set(pictures)
    assert pictures
    names = sorted(item["file"] for item in held(path.parent)["gallery"])
    assert names == [name.partition("/")[2] for name in pictures]
    shown = [e.attributes["src"].partition(",")[2] for e in Page(found["report.html"].decode()).all("img")]
    assert sorted(map(base64.b64decode, shown)) == sorted(found[name] for name in pictures)


def test_the_json_is_strict_and_holds_the_whole_report(judged: Judged, tmp_path: Path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    judged.write(tmp_path)
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=refuse)
    assert judged.report.to_dict().items() <= found.items()
    assert found["model"]["bundle"] == judged.bundle.id
    assert found["cases"]["sha256"] == hashlib.sha256((tmp_path / "cases.parquet").read_bytes()).hexdigest()


def test_no_hash_of_a_training_patient_or_file_leaves_the_bundle(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path)
    text = b"".join(content(tmp_path).values()).decode("latin-1")
    baseline = judged.bundle.baseline
    assert not [h for h in (*baseline.patients, *baseline.files, baseline.salt) if h in text]


def test_the_predictions_are_kept_with_the_sets_that_the_bundle_gives(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path)
    table = pd.read_parquet(tmp_path / "cases.parquet")
    pd.testing.assert_frame_equal(table[judged.report.table.columns], judged.report.table)
    facts = judged.report.facts
    for _, row in table.iterrows():
        p = row[[f"p_{name}" for name in facts.classes]].to_numpy(dtype=float)
        kept = prediction_set(p, judged.bundle.decision.conformal, facts.classes, "multiclass")
        assert kept == tuple(name for name in facts.classes if row[f"set_{name}"])


def test_the_same_report_gives_the_same_bytes(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path / "a")
    judged.write(tmp_path / "b")
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_everything_is_made_anew_from_the_record_alone(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path)
    before = content(tmp_path)
    for name in ("report.html", "model-card.md", "checklists.json"):
        (tmp_path / name).unlink()
    assert folder.rewrite(tmp_path) == tmp_path / "report.html"
    assert content(tmp_path) == before


def test_a_report_of_predictions_from_elsewhere_needs_no_bundle(judged: Judged, tmp_path: Path) -> None:
    folder.write_figures(judged.report, tmp_path)
    assert set(content(tmp_path)) == FILES
    assert held(tmp_path)["model"] is None
    assert "without their model" in (tmp_path / "model-card.md").read_text()
    before = content(tmp_path)
    folder.rewrite(tmp_path)
    assert content(tmp_path) == before


def test_figures_and_predictions_that_do_not_belong_together_are_refused(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path, each=0)
    table = pd.read_parquet(tmp_path / "cases.parquet")
    table["p_stroke"] = 0.99
    (tmp_path / "cases.parquet").write_bytes(record.parquet(table))
    before = content(tmp_path)
    with pytest.raises(EvaluationError, match=r"not the table that the figures in report\.json were made from"):
        folder.rewrite(tmp_path)
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("report.json", None, "has no report.json"),
        ("cases.parquet", None, "has no cases.parquet"),
        ("report.json", b"\xff", "is no JSON"),
        ("report.json", b"[]", "no record of schema 1"),
        ("report.json", b'{"schema": 9, "facts": {}, "cases": {}}', "no record of schema 1"),
    ],
)
def test_a_folder_that_holds_no_report_is_refused(
    judged: Judged, name: str, data: bytes | None, said: str, tmp_path: Path
) -> None:
    judged.write(tmp_path, each=0)
    (tmp_path / name).unlink()
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(EvaluationError, match=said):
        folder.rewrite(tmp_path)


def test_no_pictures_where_none_are_wanted(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path / "out", each=0)
    assert set(content(tmp_path / "out")) == FILES


def test_a_second_report_replaces_the_first_and_nothing_else(judged: Judged, tmp_path: Path) -> None:
    judged.write(tmp_path)
    first = content(tmp_path)
    mine = {"mine.txt": b"precious", "heatmaps/example/slice.png": b"x", "heatmaps/mine.png": b"y"}
    for name, data in mine.items():
        provenance.write_bytes(tmp_path / name, data)
    judged.write(tmp_path)
    assert content(tmp_path) == first | mine
    judged.write(tmp_path, each=1)
    fewer = content(tmp_path)
    assert mine.items() <= fewer.items()
    pictures = set(fewer) - FILES - set(mine)
    assert len(pictures) == fewer["report.html"].count(b"<img ") < len(first) - len(FILES)


class FullDisk:
    """Writes `room` files, then has no space left."""

    def __init__(self, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written = 0
        self.room = room
        self._write = provenance.write_bytes
        monkeypatch.setattr(provenance, "write_bytes", self)

    def __call__(self, path: Path, data: bytes) -> None:
        if self.written == self.room:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        self._write(path, data)
        self.written += 1


@pytest.fixture
def unmoved(tmp_path: Path) -> Iterator[Path]:
    """A folder with an earlier report, which has to be as it was in the end."""
    before = {"report.html": b"old", "report.json": b"{}", "heatmaps/TP-01.png": b"z", "mine.txt": b"precious"}
    for name, data in before.items():
        provenance.write_bytes(tmp_path / "old" / name, data)
    yield tmp_path / "old"
    assert content(tmp_path / "old") == before


@pytest.mark.parametrize("missing", [1, 3, 5])
def test_a_full_disk_leaves_no_half_report(
    judged: Judged, missing: int, tmp_path: Path, unmoved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = len(content(judged.write(tmp_path / "whole", each=1).parent))
    for out in (unmoved, tmp_path / "new"):
        with monkeypatch.context() as patch:
            FullDisk(whole - missing, patch)
            with pytest.raises(OSError, match="No space left"):
                judged.write(out, each=1)
    assert not (tmp_path / "new").exists()


def test_a_page_that_cannot_be_drawn_leaves_nothing(
    judged: Judged, tmp_path: Path, unmoved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise ValueError("no such pen")

    monkeypatch.setattr("insula.report.figures.confusion", broken)
    for out in (unmoved, tmp_path / "new"):
        with pytest.raises(ValueError, match="no such pen"):
            judged.write(out)
    assert not (tmp_path / "new").exists()


def test_what_a_killed_process_left_of_a_report_goes_with_the_next_one(judged: Judged, tmp_path: Path) -> None:
    """Drafts lay under other hidden names each time, and stayed for ever."""
    code = (
        "import os, pathlib, signal, sys\nfrom insula.report import folder\n"
        "folder._publish = lambda draft, to: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder.rewrite(pathlib.Path(sys.argv[1]))\n"
    )
    judged.write(tmp_path, each=0)
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=120).returncode == -9
    assert len([path for path in tmp_path.iterdir() if path.name.startswith(".")]) == 1
    judged.write(tmp_path, each=0)
    assert {path.name for path in tmp_path.iterdir()} == FILES
