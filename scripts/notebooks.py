"""Runs the notebooks on made patients, as a newcomer does, and writes what they show as pages.

`python scripts/notebooks.py runs/notebooks` runs all of them in that folder, which it makes anew; with names it runs
these in the folder as it lies. A warning is an error, and so is a command that fails. `--pages docs/notebooks` writes
the pages besides; with `--as-last-run` it does so without running anything, where only text was changed. `--tidy` runs
nothing: it takes outputs and everything else that an editor left out of the files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from scripts import notebook_pages  # noqa: E402

FOLDER = ROOT / "notebooks"
SECONDS = 600  # for one cell
OURS = "insula_check"  # marks the cells that stand in no notebook
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
KEPT = frozenset({"alt"})  # of a cell: what its picture shows
BEFORE = "import warnings\nwarnings.simplefilter('error')\nwarnings.filterwarnings('ignore', module='ipykernel')"
AFTER = "assert _exit_code == 0, f'the command ended with code {_exit_code}'"


def names() -> tuple[str, ...]:
    """The notebooks in their order."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.ipynb")))


def tidy(text: str) -> str:
    """A notebook as it is kept: no outputs, no counts, nothing of the machine that it was edited on."""
    cells = []
    for number, cell in enumerate(json.loads(text)["cells"], start=1):
        source = "".join(cell["source"]).rstrip()
        kept: dict[str, Any] = {
            "cell_type": cell["cell_type"],
            "id": f"cell-{number:02d}",
            "metadata": {name: value for name, value in cell["metadata"].items() if name in KEPT},
        }
        if cell["cell_type"] == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(kept | {"source": source.splitlines(keepends=True)})
    whole = {"cells": cells, "metadata": {"kernelspec": KERNEL}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def executed(name: str, folder: Path) -> Any:
    """The notebook with what its cells gave, run in a folder; SystemExit names the cell that failed."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    notebook.cells = [_check(BEFORE), *(part for cell in notebook.cells for part in _with_check(cell))]
    with tempfile.TemporaryDirectory(prefix="insula-") as own:
        _run(name, notebook, folder, Path(own))
    notebook.cells = [cell for cell in notebook.cells if OURS not in cell.metadata]
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if output.output_type == "stream" and "Warning" in output.text:
                raise SystemExit(f"{name}: a cell warns.\n{output.text}")
    return notebook


def _run(name: str, notebook: Any, folder: Path, own: Path) -> None:
    """Run the cells in a folder; own: one for this program's files."""
    # sockets of the file system, where there are such: over TCP anybody on this machine could send the kernel code
    safe = {"transport": "ipc", "ip": str(own / "socket")} if os.name == "posix" else {}
    settings = Config(AsyncKernelManager={"connection_file": str(own / "kernel.json"), **safe})
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, kernel_name="python3", timeout=SECONDS, resources=place, config=settings)
    # a reader's own Jupyter settings play no part, commands are those of this environment, looks are counted here alone
    surroundings = os.environ | dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"), str(own))
    surroundings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings["INSULA_LOOKS"] = str(own / "looks.jsonl")
    try:
        client.execute(env=surroundings)
    except CellExecutionError as error:
        raise SystemExit(f"{name}: a cell failed.\n{notebook_pages.SCREEN.sub('', str(error))}") from None


def as_last_run(name: str, folder: Path) -> Any:
    """The notebook with what its code gave when it last ran in the folder; SystemExit where its code is another now."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    path = folder / f"{name}.ipynb"
    ran = (
        [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"] if path.is_file() else []
    )
    own = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if [cell.source for cell in ran] != [cell.source for cell in own]:
        raise SystemExit(f"{name}: its code is not what ran in '{folder}'; run it again, without --as-last-run.")
    for cell, last in zip(own, ran, strict=True):
        cell.outputs = last.outputs
    return notebook


def _with_check(cell: Any) -> list[Any]:
    """A cell, and after each that runs commands one that asks how the last of them ended."""
    calls = cell.cell_type == "code" and any(line.startswith("!") for line in cell.source.splitlines())
    return [cell, _check(AFTER)] if calls else [cell]


def _check(source: str) -> Any:
    return nbformat.v4.new_code_cell(source, metadata={OURS: True})


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="where they run, and where the run copies are kept")
    parser.add_argument("names", nargs="*", help="of the notebooks; all where none is named")
    parser.add_argument("--pages", type=Path, help="write the pages into this folder")
    parser.add_argument("--as-last-run", action="store_true", help="run nothing: pages from what the last run gave")
    parser.add_argument("--tidy", action="store_true", help="run nothing, take outputs out of the notebooks")
    asked = parser.parse_args(arguments)
    chosen = asked.names or names()
    if unknown := [name for name in chosen if name not in names()]:
        raise SystemExit(f"There is no notebook '{unknown[0]}'; there are: {', '.join(names())}.")
    if asked.tidy:
        for name in names():
            path = FOLDER / f"{name}.ipynb"
            path.write_text(tidy(path.read_text(encoding="utf-8")), encoding="utf-8")
        return
    if asked.folder is None:
        raise SystemExit("Give the folder in which the notebooks are to run, for example runs/notebooks.")
    folder = asked.folder.resolve()
    if asked.as_last_run:
        for name in chosen:
            notebook_pages.write(name, as_last_run(name, folder), asked.pages or folder)
        return
    if not asked.names:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in chosen:
        began = time.monotonic()
        notebook = executed(name, folder)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        if asked.pages:
            notebook_pages.write(name, notebook, asked.pages)
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
