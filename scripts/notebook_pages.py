"""A notebook that was run as a page: its text, its code, what each cell gave, pictures as files beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
from PIL import Image

COLOURS, QUALITY = 256, 82
HEAD = "<!-- Written by `make notebooks` from notebooks/{name}.ipynb, source {digest}. -->"
SCREEN = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def digest(notebook: Any) -> str:
    """What tells whether a page belongs to a notebook: the text of all cells, without what they gave."""
    told = "\0".join(f"{cell['cell_type']}:{''.join(cell['source'])}" for cell in notebook["cells"])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def write(name: str, notebook: Any, folder: Path) -> Path:
    """Write FOLDER/NAME.md and its pictures FOLDER/NAME/1.png and so on; those of an earlier run go.

    Raises SystemExit where a picture has no words for those who do not see it (`alt` in the cell's metadata).
    """
    pictures = folder / name
    shutil.rmtree(pictures, ignore_errors=True)
    parts = [HEAD.format(name=name, digest=digest(notebook))]
    count = 0
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            parts.append(_linked(cell.source))
            continue
        parts.append(_code(cell.source))
        for output in _joined(cell.outputs):
            data = output.get("data", {})
            if "image/png" in data:
                count += 1
                if not cell.metadata.get("alt"):
                    raise SystemExit(f"{name}: cell {number} draws a picture and says in no 'alt' what it shows.")
                pictures.mkdir(parents=True, exist_ok=True)
                suffix, small = _small(base64.b64decode(data["image/png"]))
                (pictures / f"{count}.{suffix}").write_bytes(small)
                parts.append(f"![{cell.metadata['alt']}]({name}/{count}.{suffix})")
            elif "text/html" in data:
                parts.append(_table(data["text/html"]))
            elif printed := _printed(output.get("text") or data.get("text/plain", "")):
                parts.append(f"```text\n{printed}\n```")
    page = folder / f"{name}.md"
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return page


def _linked(text: str) -> str:
    """Links from `notebooks/` as they are from `docs/notebooks/`."""
    return re.sub(r"\]\(([\w-]+)\.ipynb\)", r"](\1.md)", text.replace("](../docs/", "](../"))


def _code(source: str) -> str:
    """A cell of commands as a reader would type them, any other as Python."""
    lines = source.splitlines()
    joined = source.replace("\\\n", " ").splitlines()
    if all(line.startswith("!") for line in joined if line.strip()):
        return "```sh\n" + "\n".join(line.removeprefix("!") for line in lines) + "\n```"
    return f"```python\n{source}\n```"


def _joined(outputs: list[Any]) -> list[Any]:
    """What a cell gave, texts that were printed one after another as one."""
    found: list[Any] = []
    for output in outputs:
        if output.output_type == "stream" and found and found[-1].output_type == "stream":
            found[-1] = nbformat.v4.new_output("stream", text=found[-1].text + output.text)
        else:
            found.append(output)
    return found


def _printed(text: str) -> str:
    """Text as a terminal would show it in the end: of a line that was written over, what stands there last."""
    lines = [SCREEN.sub("", line).rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]
    return "\n".join(lines).strip("\n")


def _small(png: bytes) -> tuple[str, bytes]:
    """The picture in 256 colours as PNG, or as JPEG where that is smaller, as it is for scans with their noise."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    few = picture.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    made = {"png": io.BytesIO(), "jpg": io.BytesIO()}
    few.save(made["png"], "PNG", optimize=True)
    picture.save(made["jpg"], "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    suffix = min(made, key=lambda name: made[name].tell())
    return suffix, made[suffix].getvalue()


class _Cells(HTMLParser):
    """The rows of a table of pandas, each a list of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._in = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._in = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in = False

    def handle_data(self, data: str) -> None:
        if self._in:
            self.rows[-1][-1] += data


def _table(html: str) -> str:
    """A table in Markdown, for pages that take no HTML, without the numbers of its rows where they are no more."""
    parser = _Cells()
    parser.feed(html)
    rows = [[cell.strip().replace("|", "\\|").replace("\n", " ") for cell in row] for row in parser.rows if any(row)]
    width = max(len(row) for row in rows)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    if len(rows) > 1 and not any(rows[1][1:]):  # an index has its name in a row of its own
        rows[:2] = [[rows[1][0], *rows[0][1:]]]
    if [row[0] for row in rows] == ["", *map(str, range(len(rows) - 1))]:
        rows = [row[1:] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])
