"""The table of what was tried says what its rows say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from scripts import reliability
from tests.faults.tally import FILE, End, Rates, Tally, Tries, write

ROOT = Path(__file__).parents[2]
STUB = """#!/bin/sh
if [ "$1" = -m ]; then echo tests; exit {tests}; fi
echo table; exit {table}
"""


@pytest.mark.parametrize(
    ("goal", "refused", "flagged", "taken", "said"),
    [
        ("100% refused: the header is enough", 60, 0, 0, "yes"),
        ("100% refused: the header is enough", 59, 1, 0, "**no**"),
        ("95% refused or flagged: it looks unlike any head", 40, 17, 3, "yes"),
        ("95% refused or flagged: it looks unlike any head", 40, 16, 4, "**no**"),
        ("at least 80% taken: 5% are expected beyond the limit", 3, 8, 49, "yes"),
        ("none: a head looks much the same from both sides", 0, 0, 60, "–"),
        ("", 0, 0, 60, "–"),
    ],
)
def test_a_goal_that_is_missed_is_marked(goal: str, refused: int, flagged: int, taken: int, said: str) -> None:
    row = Rates("wrong_inputs", "knees", 60, refused, flagged, taken, goal)
    assert reliability.met(row) == said
    assert f"| {said} | {goal} |" in reliability.tables([], [row])


def test_groups_have_headings_that_can_be_read() -> None:
    made = reliability.tables([Tries("http", "requests", 3), Tries("brute_force", "guesses", 2)], [])
    assert "### HTTP\n" in made
    assert "### Brute force\n" in made


def test_tests_without_a_row_stand_below_the_table_and_a_failed_one_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Tally(tmp_path, "kills").tried("kill -9 of the node", 3)
    write(tmp_path, "end", End("test_a.py::test_one", "failed"))
    write(tmp_path, "end", End("test_a.py::test_two", "skipped", "dcmtk is not installed"))
    assert reliability.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "failed:\n\n- `test_a.py::test_one`\n" in printed
    assert "- `test_a.py::test_two`: dcmtk is not installed\n" in printed
    assert "\n0 rows of earlier runs held failures; the newest run of each kind counts.\n" in printed
    write(tmp_path, "end", End("test_a.py::test_one", "passed"))
    assert reliability.main([str(tmp_path)]) == 0
    assert "test_one" not in capsys.readouterr().out


def test_a_written_page_says_where_its_rows_are_from(tmp_path: Path) -> None:
    write(tmp_path, "tries", Tries("kills", "kill -9 of the node", 3))
    page = tmp_path / "page.md"
    page.write_text(f"before\n{reliability.BEGIN}\nold\n{reliability.END}\nafter\n")
    (tmp_path / FILE).write_text(
        (tmp_path / FILE).read_text()
        + '{"kind": "tries", "group": "kills", "what": "kill -9", "tried": 2, "lost": 0, "doubled": 0, "leaked": 0, '
        '"crashed": 0, "failed": 0, "figures": {}}\n'
    )
    assert reliability.main([str(tmp_path), "--write", str(page)]) == 0
    text = page.read_text()
    assert "Rows by when they were measured: before rows had a date: 1; 20" in text
    assert text.endswith(f"\n\n{reliability.END}\nafter\n")


def test_a_kind_of_which_nothing_was_tried_fails_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "tries", Tries("kills", "kill -9 of the node", 0))
    assert reliability.main([str(tmp_path)]) == 1
    assert "| kill -9 of the node | 0 | 0 | 0 | 0 | 0 | 0 | 100% |" in capsys.readouterr().out


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_tries_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], empty: bool) -> None:
    if empty:
        (tmp_path / FILE).touch()
    assert reliability.main([str(tmp_path)]) == 2
    assert "tries.jsonl is not there or empty" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("tests", "table", "fails"), [(0, 0, False), (1, 0, True), (5, 0, True), (0, 1, True), (2, 1, True)]
)
def test_make_test_faults_fails_where_a_test_or_the_table_does(
    tmp_path: Path, tests: int, table: int, fails: bool
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    stubs = {"bin/python": STUB.format(tests=tests, table=table), "scripts/own-network": '#!/bin/sh\nexec "$@"\n'}
    for name, text in {**stubs, "scripts/system-packages": "#!/bin/sh\n"}.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    command = ["make", "--silent", "-o", ".venv/.test", "test-faults", "BIN=bin"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode != 0) == fails, ended.stderr
    assert ended.stdout == "tests\ntable\n"
