"""The checks of `make dist` find what is wrong, and the files of the continuous integration call what exists."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts import dist_checks
from scripts.try_wheel_page import Installed, page
from tests.house.walk import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
METADATA = (
    "Metadata-Version: 2.4\nName: insula\nVersion: 1.0\nLicense-Expression: Apache-2.0\nRequires-Dist: numpy>=2\n"
    "Requires-Dist: torch>=2; extra == 'train'\n\nFrom a folder of brain scans\n"
)


def wheel(folder: Path, metadata: str = METADATA, without: str = "", **more: bytes) -> Path:
    path = folder / "insula-1.0-py3-none-any.whl"
    files = dict.fromkeys(dist_checks.NEEDED, b"x") | {"insula-1.0.dist-info/METADATA": metadata.encode()}
    files |= {"insula-1.0.dist-info/licenses/LICENSE": b"x"} | {k.replace("__", "/"): v for k, v in more.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            if name != without:
                archive.writestr(name, data)
    return path


def test_a_sound_wheel_passes(tmp_path: Path) -> None:
    assert dist_checks.of_wheel(wheel(tmp_path), "1.0") == []


@pytest.mark.parametrize("gone", ["insula/serve/web/built/main.js", "insula/py.typed"])
def test_a_wheel_without_the_viewer_or_types_does_not(gone: str, tmp_path: Path) -> None:
    assert dist_checks.of_wheel(wheel(tmp_path, without=gone), "1.0") == [f"{gone} is missing"]


def test_what_does_not_belong_is_named_once_a_folder(tmp_path: Path) -> None:
    path = wheel(tmp_path, insula__documents__docs__screens__a=b"x", tests__a=b"x", tests__b=b"x")
    found = dist_checks.of_wheel(path, "1.0")
    assert "insula/documents/docs/screens/a does not belong" in found
    assert [line for line in found if line.startswith("tests/") and "does not" in line] == ["tests/a does not belong"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Version: 1.0", "Version: 1.1", "METADATA says Version: 1.1, not 1.0"),
        ("Apache-2.0", "MIT", "METADATA says License-Expression: MIT, not Apache-2.0"),
        ("numpy>=2", "pandas>=2", "pandas is required by the light install"),
        ("\nFrom a folder of brain scans\n", "\n", "METADATA has no description"),
    ],
)
def test_metadata_that_are_not_the_packages_are_said(old: str, new: str, said: str) -> None:
    assert dist_checks.of_metadata(METADATA, "1.0") == []
    assert dist_checks.of_metadata(METADATA.replace(old, new), "1.0") == [said]


def test_a_source_distribution_holds_what_the_wheel_is_made_of(tmp_path: Path) -> None:
    def made(*names: str) -> Path:
        path = tmp_path / "insula-1.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in names:
                archive.addfile(tarfile.TarInfo(name), io.BytesIO())
        return path

    whole = [f"insula-1.0/{name}" for name in dist_checks.NEEDED_SOURCES]
    assert dist_checks.of_sources(made(*whole), "1.0") == []
    assert dist_checks.of_sources(made(*whole[1:], "else/x", "insula-1.0/web/node_modules/x"), "1.0") == [
        "else/x is outside of insula-1.0/",
        "LICENSE is missing",
        "web/node_modules/x does not belong",
    ]


def test_wheels_that_differ_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = wheel(tmp_path), wheel(tmp_path / "other", insula__a=b"1")
    assert dist_checks.different(one, one) == []
    assert dist_checks.different(one, other) == ["insula/a"]


def test_the_page_of_sizes_says_what_was_measured() -> None:
    sizes = {f"part-{i}": 10_000_000 * (i + 1) for i in range(14)}
    text = page([Installed("insula", sizes, 2.0, "pip")], [("insula info", 0.25)], 3_000_000, "a machine", 600)
    assert "| `pip install 'insula'` | 1,050 | 14 | pip |" in text
    assert "| part-13 | 140.0 |" in text
    assert "| all others | 30.0 |" in text
    assert "| `insula info` | 0.2 |" in text


def jobs(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_what_exists_and_may_do_little(path: Path) -> None:
    rules = re.findall(r"^([^\s:=#][^:=#\n]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {name for rule in rules for name in rule.split()}
    told = jobs(path)
    assert told["permissions"] == {}, "each job asks for what it needs"
    for name, job in told["jobs"].items():
        assert "timeout-minutes" in job, name
        assert set(job["permissions"]) <= {"contents", "id-token"}
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            said = step.get("run", "")
            assert "${{" not in said, "values come by the environment, not into the script"
            for line in re.findall(r"^make ([a-z -]+)$", said, re.MULTILINE):
                assert set(line.split()) <= targets, line
        asked = job.get("strategy", {}).get("matrix", {}).get("target", [])
        assert set(asked) <= targets, asked


def test_there_is_a_workflow_for_every_kind_of_check() -> None:
    text = "\n".join(path.read_text() for path in WORKFLOWS)
    for target in ("lint", "test-fast", "test-browser", "test-pacs", "try-wheel", "docs", "supply"):
        assert re.search(rf"\b{target}\b", text), target
    assert len(WORKFLOWS) == 3
