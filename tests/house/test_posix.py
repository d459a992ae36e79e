"""What only Linux and macOS have stands where it is known to, and the rest works without it, as on Windows.

Nothing here ran on Windows: that a module is missing there is what these tests pretend.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.house.walk import ROOT

from insula.core.errors import MissingPartError
from insula.core.posix import MODULES, refusal

SOURCE = ROOT / "src" / "insula"
# where one of these modules is imported, and what for
ALLOWED = {
    "cli/account.py": "the account at this machine, for the trail",
    "core/children.py": "processes that end with their parent",
    "core/journal_lines.py": "one process at a time has a journal open",
    "core/provenance.py": "several that write one file wait for each other",
    "core/scratch.py": "temporary folders of dead processes are told by their locks",
    "evaluate/looks_file.py": "looks are counted by several processes",
    "prep/store.py": "one process at a time fills a cache",
    "scans/sandbox.py": "decoders in processes of their own",
    "scans/worker.py": "limits of a decoder's process",
    "serve/connections.py": "how many files the service may have open",
    "serve/trail/places.py": "heads are added to a file by several processes",
}
WORKS = (
    (),
    ("--help",),
    ("--version",),
    ("info",),
    ("docs", "errors#missing_part"),
    ("completion", "bash"),
    ("remote", "--help"),
    ("remote", "predict", "--help"),
)
PRETEND = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ModuleNotFoundError(f"No module named '{{name}}'", name=name)
sys.meta_path.insert(0, Gone())
for name in {names!r}:
    sys.modules.pop(name, None)
"""


def without(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that lacks these modules."""
    program = PRETEND.format(names=sorted(MODULES)) + code
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return without("sys.argv[0] = 'insula'\nfrom insula.cli.main import run\nrun()", *words)


def imported(path: Path) -> set[str]:
    """Which of these modules a file imports."""
    text = path.read_text(encoding="utf-8")
    if not any(name in text for name in MODULES):  # most files need not be parsed
        return set()
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def test_the_modules_of_posix_are_imported_where_it_is_known() -> None:
    found = {p.relative_to(SOURCE).as_posix() for p in SOURCE.rglob("*.py") if imported(p) & MODULES}
    assert found == set(ALLOWED)


def test_no_process_is_forked_and_no_path_begins_at_a_root_of_its_own() -> None:
    forked, absolute = [], []
    for path in SOURCE.rglob("*.py"):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(SOURCE).as_posix()
        forked += [name] if re.search(r"\bos\.fork\(|get_context\(\"fork", text) else []
        absolute += [(name, found) for found in re.findall(r"Path\(\"(/[^\"]*)\"\)", text)]
    assert forked == []
    own = {"/", "/dev/shm", "/proc/cpuinfo", "/proc/driver/nvidia/gpus"}  # where they are there
    own |= {"/proc/self/status", "/proc/self/cgroup", "/sys/fs/cgroup"}
    assert {root for _, root in absolute} <= own


def test_the_paths_of_a_table_and_of_a_zip_file_never_leave_their_folder_anywhere() -> None:
    from insula.cohort.table import _path

    for bad in ("/a", "..", "a/../../b", "..\\b", "a\\..\\b", "", "a\0b", "C:\\a", "c:/a", "\\\\server\\share\\a"):
        with pytest.raises(ValueError, match="path"):
            _path(bad)
    for good in ("a/b.dcm", "a b/ä.dcm", "T12:30/x.dcm", "..a/b"):
        assert _path(good) == good


@pytest.mark.parametrize("words", WORKS, ids=" ".join)
def test_the_client_and_what_only_tells_something_work_without_them(words: tuple[str, ...]) -> None:
    got = command(*words)
    assert got.returncode == 0, got.stderr
    assert got.stdout


def test_the_client_in_python_works_without_them() -> None:
    got = without("from insula.client import Client\nprint(Client.__name__)")
    assert got.stdout.strip() == "Client", got.stderr


@pytest.mark.parametrize(
    "words", [("predict", "bundle", "scan"), ("index", ".", "--recipe", "stroke-ct")], ids=" ".join
)
def test_a_verb_that_needs_them_says_so(words: tuple[str, ...]) -> None:
    got = command(*words)
    assert got.returncode == MissingPartError.exit_code
    assert got.stderr.startswith("insula: This needs Linux or macOS")
    assert "WSL 2" in got.stderr


def test_the_api_says_so_too() -> None:
    got = without(
        "import insula\ntry:\n    insula.read\nexcept insula.core.errors.MissingPartError as error:\n    print(error)"
    )
    assert got.stdout.startswith("This needs Linux or macOS"), got.stderr
    assert refusal(ModuleNotFoundError("x", name="torch")) is None
