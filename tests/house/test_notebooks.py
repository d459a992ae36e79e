"""The notebooks as they are kept; `make notebooks` runs them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import nbformat
import pytest
from scripts import notebook_pages, notebooks
from tests.house.test_documents import calls, command, fenced, spans
from tests.house.walk import ROOT

import insula

NAMES = notebooks.names()
PAGES = ROOT / "docs" / "notebooks"
MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|Users|mnt|var|opt)/|[A-Z]:\\|https?://(?:localhost|127\.)")


def text_of(name: str) -> str:
    return (notebooks.FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")


def cells(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text_of(name))["cells"]
    return found


def code(name: str) -> str:
    """All Python of a notebook in one text, and the commands of it."""
    return "\n".join("".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "code")


def words_of(name: str) -> str:
    """What a notebook says between its code."""
    return "\n".join("".join(cell["source"]) for cell in cells(name) if cell["cell_type"] == "markdown")


def python(source: str) -> str:
    """The source without its commands, line for line."""
    lines, goes_on = [], False
    for line in source.splitlines():
        is_command = goes_on or line.startswith("!")
        goes_on = is_command and line.endswith("\\")
        lines.append("" if is_command else line)
    return "\n".join(lines)


def commands(source: str) -> list[str]:
    return calls([line[1:] for line in source.replace("\\\n", " ").splitlines() if line.startswith("!")])


def defined(module: str) -> set[str]:
    """The names at a module's top, told by its source, so that no training wing is loaded to see them."""
    spec = find_spec(module)
    assert spec is not None, f"there is no module '{module}'"
    assert spec.origin is not None
    found = {path.stem for place in spec.submodule_search_locations or () for path in Path(place).glob("*.py")}
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            found |= {(one.asname or one.name).partition(".")[0] for one in node.names}
    return found


def asked(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Module and name of everything of Insula's that a notebook takes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("insula"):
            for one in node.names:
                yield node.module or "", one.name


def unknown(source: str) -> list[str]:
    """What a notebook takes of Insula and is not there: names of modules, and what it calls `ins.NAME`."""
    tree = ast.parse(python(source))
    missing = [f"{module}.{name}" for module, name in asked(tree) if name not in defined(module)]
    api = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    for node in api:
        if isinstance(node.value, ast.Name) and node.value.id == "ins" and not hasattr(insula, node.attr):
            missing.append(f"ins.{node.attr}")
        inner = node.value
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "ins":
            owner = getattr(insula, inner.attr, None)
            if owner is not None and not hasattr(owner, node.attr):
                missing.append(f"ins.{inner.attr}.{node.attr}")
    return missing


def test_the_notebooks_are_there_in_their_order() -> None:
    assert len(NAMES) >= 7
    assert [int(name[:2]) for name in NAMES] == list(range(1, len(NAMES) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_valid_and_bare(name: str) -> None:
    nbformat.validate(nbformat.reads(text_of(name), as_version=4))
    assert notebooks.tidy(text_of(name)) == text_of(name), "run: python scripts/notebooks.py --tidy"
    assert MACHINE.findall(text_of(name)) == []
    first = cells(name)[0]
    assert first["cell_type"] == "markdown"
    assert "Research use only" in "".join(first["source"])


@pytest.mark.parametrize("name", NAMES)
def test_what_a_notebook_takes_of_insula_is_there(name: str) -> None:
    assert unknown(code(name)) == []
    text = words_of(name)
    for line in (*commands(code(name)), *calls(fenced(text))):
        found, words = command(line)
        assert found.make_context(str(found.name), words).params
    for line in calls(spans(text)):
        found, words = command(line)
        found.make_parser(click.Context(found)).parse_args(words)


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_notebook_lead_to_files(name: str) -> None:
    links = [found.partition("#")[0] for found in re.findall(r"\]\(([^)\s]+)\)", words_of(name))]
    assert [link for link in links if not (notebooks.FOLDER / link).is_file()] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_is_of_this_notebook(name: str) -> None:
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    digest = notebook_pages.digest(json.loads(text_of(name)))
    assert page.startswith(notebook_pages.HEAD.format(name=name, digest=digest)), "run: make notebooks"
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert [picture for picture in pictures if not (PAGES / picture).is_file()] == []
    alone = {path.relative_to(PAGES).as_posix() for path in (PAGES / name).glob("*")} - set(pictures)
    assert alone == set()


def test_a_name_or_command_that_is_not_there_would_be_found() -> None:
    source = (
        "import insula as ins\nfrom insula.prep.run import prepare, prepair\nins.raed('x')\n!insula predcit x \\\n  y"
    )
    assert unknown(source) == ["insula.prep.run.prepair", "ins.raed"]
    assert commands(source) == ["predcit x    y"]
    with pytest.raises(AssertionError, match="predcit"):
        command(commands(source)[0])
    found, words = command("phantom haemorrhage-ct x --patient 3")
    with pytest.raises(click.NoSuchOption):
        found.make_context("phantom", words)


def test_tidying_takes_out_what_an_editor_left() -> None:
    cell = {"cell_type": "code", "id": "7f", "execution_count": 3, "source": ["print(1)\n", "\n"]}
    cell |= {"metadata": {"alt": "a line", "scrolled": True}, "outputs": [{"output_type": "stream", "text": ["1"]}]}
    edited = {"cells": [cell], "metadata": {"language_info": {"version": "3.12.1"}}, "nbformat": 4, "nbformat_minor": 2}
    kept = notebooks.tidy(json.dumps(edited))
    assert json.loads(kept)["cells"] == [
        {
            "cell_type": "code",
            "id": "cell-01",
            "metadata": {"alt": "a line"},
            "execution_count": None,
            "outputs": [],
            "source": ["print(1)"],
        }
    ]
    assert "3.12.1" not in kept
    assert notebooks.tidy(kept) == kept


def test_a_page_holds_text_code_pictures_and_tables(tmp_path: Path) -> None:
    html = "<table border='1'><thead><tr><th></th><th>n</th></tr></thead><tr><th>a|b</th><td>3</td></tr></table>"
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    drawn = nbformat.v4.new_code_cell(
        "draw()",
        metadata={"alt": "a dot"},
        outputs=[
            nbformat.v4.new_output("display_data", data={"image/png": png}),
            nbformat.v4.new_output("execute_result", data={"text/html": html, "text/plain": "n"}, execution_count=1),
            nbformat.v4.new_output("stream", text="\x1b[31mred\x1b[0m\nread:  0%|  | 0/2"),
            nbformat.v4.new_output("stream", text="\rread: 50%|# | 1/2\r         \rdone\n"),
        ],
    )
    head = nbformat.v4.new_markdown_cell("# One\n\n[two](02-two.ipynb), [docs](../docs/audit.md#limits)")
    shell = nbformat.v4.new_code_cell("!insula info \\\n  --json")
    made = nbformat.v4.new_notebook(cells=[head, shell, drawn])
    page = notebook_pages.write("01-one", made, tmp_path).read_text(encoding="utf-8")
    assert "[two](02-two.md), [docs](../audit.md#limits)" in page
    assert "```sh\ninsula info \\\n  --json\n```" in page
    assert "![a dot](01-one/1.png)" in page
    assert (tmp_path / "01-one" / "1.png").read_bytes().startswith(b"\x89PNG")
    assert "|  | n |\n|---|---|\n| a\\|b | 3 |" in page
    assert "```text\nred\ndone\n```" in page
    del drawn.metadata["alt"]
    with pytest.raises(SystemExit, match="cell 3 draws a picture"):
        notebook_pages.write("01-one", made, tmp_path)


def test_a_cell_that_runs_commands_is_asked_how_they_ended() -> None:
    plain, shell = nbformat.v4.new_code_cell("x = 1"), nbformat.v4.new_code_cell("!insula info")
    assert len(notebooks._with_check(plain)) == 1
    _, check = notebooks._with_check(shell)
    scope: dict[str, Any] = {"_exit_code": 0}
    exec(check.source, scope)
    with pytest.raises(AssertionError, match="code 3"):
        exec(check.source, {"_exit_code": 3})


def test_a_page_is_written_again_where_text_alone_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, runs = tmp_path / "notebooks", tmp_path / "runs"
    monkeypatch.setattr(notebooks, "FOLDER", kept)
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("old"), nbformat.v4.new_code_cell("print(1)")])
    kept.mkdir()
    nbformat.write(made, kept / "01-one.ipynb")
    with pytest.raises(SystemExit, match="not what ran"):
        notebooks.main(["--as-last-run", str(runs)])
    made.cells[1].outputs = [nbformat.v4.new_output("stream", text="1\n")]
    runs.mkdir()
    nbformat.write(made, runs / "01-one.ipynb")
    made.cells[0].source, made.cells[1].outputs = "new", []
    nbformat.write(made, kept / "01-one.ipynb")
    notebooks.main(["--as-last-run", str(runs), "--pages", str(tmp_path)])
    page = (tmp_path / "01-one.md").read_text(encoding="utf-8")
    assert "new" in page
    assert "old" not in page
    assert "```text\n1\n```" in page
    made.cells[1].source = "print(2)"
    nbformat.write(made, kept / "01-one.ipynb")
    with pytest.raises(SystemExit, match="run it again"):
        notebooks.main(["--as-last-run", str(runs)])
    with pytest.raises(SystemExit, match="no notebook 'two'"):
        notebooks.main([str(runs), "two"])


@pytest.mark.slow
def test_a_notebook_runs_and_a_warning_or_a_failed_command_stops_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    for wrong, said in (
        ("import warnings\nwarnings.warn('too loud')", "too loud"),
        ("!insula recipe", "ended with code"),
    ):
        made = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell("print(6 * 7)"), nbformat.v4.new_code_cell(wrong)]
        )
        nbformat.write(made, tmp_path / "01-one.ipynb")
        with pytest.raises(SystemExit, match=said):
            notebooks.main([str(tmp_path / "runs")])
    made.cells.pop()
    nbformat.write(made, tmp_path / "01-one.ipynb")
    notebooks.main([str(tmp_path / "runs")])
    ran = nbformat.read(tmp_path / "runs" / "01-one.ipynb", as_version=4)
    assert [cell.outputs[0].text for cell in ran.cells] == ["42\n"]
