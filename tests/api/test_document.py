"""The examples of docs/python.md run in their order, and its table names what exists on both sides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.house.walk import ROOT

import insula as ins

TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def in_turn(names: dict[str, Any], blocks: list[str]) -> None:
    for block in blocks:
        exec(compile(block, "docs/python.md", "exec"), names)


@pytest.mark.slow
@pytest.mark.train
def test_every_example_runs_from_the_folder_to_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INSULA_LOOKS", str(tmp_path / "register.jsonl"))
    (tmp_path / "README.txt").write_text("no scan")
    names: dict[str, Any] = {"__name__": "__main__"}
    in_turn(names, BLOCKS)
    assert (tmp_path / "runs" / "first" / "bundle" / "manifest.json").is_file()
    assert (tmp_path / "report" / "report.html").is_file()
    assert (tmp_path / "audit" / "audit.html").is_file()
    assert {picture.suffix for picture in names["where"].pictures} == {".png"}
    looks = (tmp_path / "split.parquet.looks.jsonl").read_text().splitlines()
    assert sum('"kind": "look"' in line or '"kind":"look"' in line for line in looks) == 2
    assert names["audit"].verdict in ("pass", "fail", "cannot tell")


def test_the_table_names_what_there_is() -> None:
    said = re.findall(r"^\| `(insula .*?)` \| `(.*?)` \|$", TEXT.replace("`, `", " ; "), re.MULTILINE)
    assert len(said) > 10
    for _, python in said:
        for owner, name in re.findall(r"\b(ins|cohort|model)\.(\w+)\(", python):
            holder: object = {"ins": ins, "cohort": ins.Cohort, "model": ins.Model}[owner]
            assert callable(getattr(holder, name)), python


def test_the_examples_are_whole() -> None:
    assert len(BLOCKS) == 7
    for block in BLOCKS:
        compile(block, "docs/python.md", "exec")
