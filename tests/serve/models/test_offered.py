from __future__ import annotations

from pathlib import Path

import pytest
from tests.tiny_bundle import make

from insula.serve.models.offered import graph_bytes, offered

pytestmark = pytest.mark.serve


def test_bundles_that_are_not_known_yet_are_offered_by_name(tmp_path: Path) -> None:
    for name in ("two", "one", "known", ".hidden", "a b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    (tmp_path / "scans").mkdir()
    (tmp_path / "file").write_text("")
    assert offered(tmp_path, [tmp_path / "x" / ".." / "known"]) == ["one", "two"]


def test_without_a_folder_nothing_is_offered(tmp_path: Path) -> None:
    assert offered(None) == []
    assert offered(tmp_path / "missing") == []


def test_a_bundle_takes_what_its_two_graphs_take(tmp_path: Path) -> None:
    bundle = make(tmp_path)
    want = (bundle.path / "model.onnx").stat().st_size + (bundle.path / "head.onnx").stat().st_size
    assert graph_bytes(bundle.path) == want > 0
    assert graph_bytes(tmp_path / "gone") is None
