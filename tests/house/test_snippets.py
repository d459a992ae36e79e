"""The Python of the documents runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.house.walk import ROOT, texts

PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = {
    name: found
    for name, text in texts().items()
    if re.fullmatch(r"README\.md|docs/.*\.md", name) and (found := PYTHON.findall(text))
}
# Pages whose Python another test runs, on what it needs: a service, a bundle, the notebooks' kernel.
RUN_BY = {
    "docs/client.md": "tests/client/test_document.py",
    "docs/python.md": "tests/api/test_document.py",
}
EXECUTED = re.compile(r"docs/notebooks/.*\.md")  # written by scripts/notebooks.py, which ran it
SMALLER = {"docs/phantoms.md": {", 100, ": ", 4, size=64, slices=8, ", "duplicates=20": "duplicates=1"}}  # else minutes


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_the_python_of_a_page_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if EXECUTED.fullmatch(name):
        return
    if name in RUN_BY:
        assert Path(name).name in (ROOT / RUN_BY[name]).read_text(encoding="utf-8")
        return
    monkeypatch.chdir(tmp_path)
    here: dict[str, object] = {"__name__": "a_page"}
    for block in BLOCKS[name]:
        for wide, small in SMALLER.get(name, {}).items():
            assert wide in block
            block = block.replace(wide, small)
        exec(compile(block, name, "exec"), here)


def test_there_is_python_in_the_pages_and_each_exception_is_one() -> None:
    assert {"docs/adding.md", "docs/phantoms.md", "docs/your-scans.md"} <= set(BLOCKS)
    assert set(SMALLER) <= set(BLOCKS)
    assert set(RUN_BY) <= set(BLOCKS)
