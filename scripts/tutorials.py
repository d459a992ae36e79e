"""Runs the tutorials as they stand, each in a folder of its own, and writes what was printed into them.

    .venv/bin/python scripts/tutorials.py                       # all of docs/tutorials, in runs/tutorials
    .venv/bin/python scripts/tutorials.py stroke-ct             # one of them
    .venv/bin/python scripts/tutorials.py --check stroke-ct     # run it, and write nothing

A block of YAML whose first line is `# NAME.yaml` becomes that file. The commands of a block of shell run one after the
other, and each has to end with 0, or with the code that a comment behind it names (`# ends with 1`). What they print on
standard output is the block of `text` that follows. A picture of a page is taken from the folder as `PICTURES` says.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "tutorials"
PICTURES: Mapping[str, tuple[str, str]] = {  # tutorial: the page's picture, and which file of the run it is
    "haemorrhage-ct": ("haemorrhage-ct.png", "heat/slice-*-any.png"),
    "brain-tumour": ("brain-tumour.png", "heat/slice-*-malignant.png"),
    "clot-origin": ("clot-origin.png", "heat/slice-*-CE.png"),
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDS = re.compile(r"\s+# ends with (\d+)$")


@dataclass(frozen=True)
class Block:
    """One block of a page: its language, its text, and where it stands."""

    language: str
    text: str
    start: int
    end: int


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page in their order."""
    for found in _BLOCK.finditer(page):
        yield Block(found[1], found[2], found.start(2), found.end(2))


def commands(block: str) -> Iterator[tuple[str, int]]:
    """The commands of a block of shell, each with the exit code that it has to end with."""
    for line in block.replace("\\\n", " ").splitlines():
        ends = _ENDS.search(line)
        if line.strip() and not line.strip().startswith("#"):
            yield _ENDS.sub("", line).strip(), int(ends[1]) if ends else 0


def run(name: str, folder: Path) -> str:
    """Run a tutorial in a new folder; its page with what was printed. SystemExit where a command ends otherwise."""
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made, told, printed = "", 0, ""
    for block in blocks(page):
        if block.language == "yaml" and (named := re.match(r"# ([\w-]+\.yaml)\n", block.text)):
            (folder / named[1]).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            printed = ""
            for command, code in commands(block.text):
                began = time.monotonic()
                ended = subprocess.run(
                    ["bash", "-c", command],
                    cwd=folder,
                    env={**os.environ, "PATH": path, "INSULA_LOOKS": ""},
                    capture_output=True,
                    check=False,
                )
                print(f"{time.monotonic() - began:7.1f} s  {command}", flush=True)
                if ended.returncode != code:
                    raise SystemExit(f"'{command}' ended with {ended.returncode}:\n{ended.stderr.decode()[-2000:]}")
                printed += ended.stdout.decode()
        elif block.language == "text":
            made += page[told : block.start] + _shown(printed)
            told = block.end
    return made + page[told:]


def _shown(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(lines) + "\n"


def picture(name: str, folder: Path) -> None:
    """Take the picture of a tutorial from where it was run."""
    if name in PICTURES:
        wanted, pattern = PICTURES[name]
        found = sorted(folder.glob(pattern))
        if not found:
            raise SystemExit(f"No file of {folder} is '{pattern}'; look at what insula explain wrote.")
        shutil.copyfile(found[0], FOLDER / wanted)


def main() -> None:
    """Run what is named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    known = sorted(path.stem for path in FOLDER.glob("*.md"))
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tutorials")
    parser.add_argument("--check", action="store_true", help="Write nothing into the pages.")
    given = parser.parse_args()
    for name in given.names or known:
        page = run(name, given.out.resolve() / name)
        if not given.check:
            (FOLDER / f"{name}.md").write_text(page, encoding="utf-8")
            picture(name, given.out.resolve() / name)


if __name__ == "__main__":
    main()
