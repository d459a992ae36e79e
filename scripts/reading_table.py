"""Write docs/reading.md: what becomes of every file that pydicom's wheel brings for its own tests."""

from __future__ import annotations

import warnings
from pathlib import Path

import pydicom
import pydicom.data

from insula.core.errors import InsulaError
from insula.scans.read import read

FILES = "## The files\n"
PAGE = Path(__file__).parents[1] / "docs" / "reading.md"
SETS = ("test_files", "charset_files", "palettes")


def outcome(path: Path) -> str:
    """Shape and units, with the reader's warnings, or the reason of a refusal."""
    try:
        volume = read(path)
    except InsulaError as error:
        return f"refused: {error}"
    notes = f"; {'; '.join(volume.warnings)}" if volume.warnings else ""
    return f"{'×'.join(str(n) for n in volume.array.shape)} {volume.units}{notes}"


def syntax(path: Path) -> str:
    """The name of a file's transfer syntax, a dash where it has none."""
    try:
        meta = pydicom.dcmread(path, force=True, stop_before_pixels=True).file_meta
        return str(meta.TransferSyntaxUID.name)
    except Exception:  # noqa: BLE001  broad: many of these files are damaged on purpose
        return "–"


def main() -> None:
    """Read all files and write the table below the rest of the page, which is kept."""
    head = PAGE.read_text(encoding="utf-8").partition(FILES)[0]
    warnings.simplefilter("ignore")
    base = Path(pydicom.data.__file__).parent
    files = [p for s in SETS for p in sorted((base / s).rglob("*")) if p.is_file() and p.suffix not in (".py", ".pyc")]
    rows = [(p.relative_to(base).as_posix(), syntax(p), outcome(p)) for p in files]
    refused = sum(1 for row in rows if row[2].startswith("refused"))
    lines = [
        f"{head}{FILES}",
        f"With pydicom {pydicom.__version__}: {len(rows)} files, {len(rows) - refused} read, {refused} refused.\n",
        "| file | transfer syntax | outcome: channels×slices×rows×columns and units, or reason |",
        "|---|---|---|",
        *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
