from __future__ import annotations

import base64
import errno
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from tests import tiny_bundle, tiny_cohort
from tests.report.parsed import Page

from insula.bundle.types import Bundle
from insula.core import provenance
from insula.core.types import Cohort
from insula.evaluate.outcome import EvaluationReport
from insula.evaluate.run import evaluate
from insula.infer.predict import Predictor
from insula.report import folder

FILES = {"report.html", "report.json", "predictions.parquet"}


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


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_report_is_a_page_its_figures_its_predictions_and_its_pictures(judged: Judged, tmp_path: Path) -> None:
    path = judged.write(tmp_path / "a/b")
    assert path == tmp_path / "a/b/report.html"
    found = content(tmp_path / "a/b")
    pictures = sorted(name for name in found if name.startswith("heatmaps/"))
    assert set(found) == FILES | set(pictures)
    assert pictures
    assert json.loads(found["report.json"]) == judged.report.to_dict()
    pd.testing.assert_frame_equal(pd.read_parquet(path.parent / "predictions.parquet"), judged.report.table)
    shown = [e.attributes["src"].partition(",")[2] for e in Page(found["report.html"].decode()).all("img")]
    assert sorted(map(base64.b64decode, shown)) == sorted(found[name] for name in pictures)


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


@pytest.mark.parametrize("missing", [1, 3])
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
