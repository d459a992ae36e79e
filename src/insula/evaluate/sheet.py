"""A CSV file from outside, as rows of text."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Sequence
from pathlib import Path

from insula.core.errors import EvaluationError

Row = dict[str, str]
_MAX_BYTES = 256 << 20
_TAILS = ("", "s", "id", "ids", "key", "name", "no", "nr", "number", "code")  # of a column that means the same
_ALSO = {"patient": ("subject", "participant")}  # the names of BIDS
_CLOSE = 0.8


def read(path: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """Column names and rows, each with its line number as a spreadsheet shows it (the header is 1); texts are trimmed.

    Commas, semicolons or tabs may part the cells, whichever the header has most of. Raises EvaluationError for a file
    that is missing, no UTF-8 table, empty, has a column twice, or a row with another number of cells.
    """
    if path.is_dir():
        raise EvaluationError(f"'{path}' is a folder; give the CSV file of the table itself.")
    if not path.is_file():
        raise EvaluationError(f"There is no table '{path.name}'; check its path.")
    if path.stat().st_size > _MAX_BYTES:
        raise EvaluationError(f"'{path.name}' is longer than {_MAX_BYTES >> 20} MB, too long for a table of cases.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"'{path.name}' is not UTF-8 text; save it as CSV in UTF-8.") from error
    head = text.split("\n", 1)[0]
    mark = max(",;\t", key=head.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=mark))
    except csv.Error as error:
        raise EvaluationError(f"'{path.name}' is no CSV table ({error}); save it again.") from error
    columns = [name.strip() for name in lines[0]] if lines else []
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise EvaluationError(f"'{path.name}' has the column '{twice[0]}' twice; rename one.")
    rows: list[tuple[int, Row]] = []
    for number, line in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in line):
            continue
        if len(line) != len(columns):
            raise EvaluationError(
                f"{path.name}, row {number} has {len(line)} cells and the header has {len(columns)}; mend the row."
            )
        rows.append((number, {name: cell.strip() for name, cell in zip(columns, line, strict=True)}))
    if not rows:
        raise EvaluationError(f"'{path.name}' holds no rows; it needs a header and one row a case.")
    return columns, rows


def meant(wanted: str, columns: Sequence[str]) -> str:
    """The column that may have been meant by a name that is missing, misspelt or spelt otherwise; "" for none."""
    plain = {re.sub(r"[^a-z0-9]", "", column.casefold()): column for column in columns}
    names = [word + tail for word in (wanted, *_ALSO.get(wanted, ())) for tail in _TAILS]
    found = next((plain[name] for name in names if name in plain), "")
    alike = [name for name in plain if name[:1] == wanted[0]]  # an inpatient is no patient misspelt
    close = difflib.get_close_matches(wanted, alike, 1, _CLOSE)
    return found or (plain[close[0]] if close else "")
