"""The history as a sheet: read in batches and laid down, so that the trail is told its length before it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Final

from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from insula.serve import sheet
from insula.serve.api.guard import Act
from insula.serve.api.predictions import predictions_of
from insula.serve.people.caller import Caller
from insula.serve.store import history
from insula.serve.store.history import Filters, HistoryRow
from insula.serve.store.paging import MOST_ROWS as _BATCH
from insula.serve.store.schema import now

MOST_ROWS: Final = 50_000
_IN_MEMORY: Final = 1 << 20  # bytes; what is longer lies in a file without a name
_COLUMNS: Final = (
    "made (UTC)", "patient", "study title", "decision", "answer", "confidence", "entropy (nats)", "model", "bundle",
    "read", "a reader disagreed", "study", "prediction",
)  # fmt: skip


def sheet_of(acting: Act, filters: Filters) -> StreamingResponse:
    """The newest MOST_ROWS predictions of some filters as CSV; a last line says where the list was cut.

    Raises RequestError as `history.page` does.
    """
    file = SpooledTemporaryFile[bytes](_IN_MEMORY)
    try:
        with acting.read("prediction.export") as connection:
            rows, cut = _write(file, connection, acting.caller, filters)
            acting.told(rows=rows, cut=cut)
    except BaseException:
        file.close()
        raise
    headers = {"Content-Disposition": f'attachment; filename="insula-history-{now():%Y-%m-%d}.csv"'}
    return StreamingResponse(_pieces(file), 200, headers, "text/csv; charset=utf-8")


def _write(file: IO[bytes], connection: Connection, caller: Caller, filters: Filters) -> tuple[int, bool]:
    """How many rows were written, and whether there would be more."""
    rows, before = 0, None
    file.write(sheet.line(_COLUMNS).encode())
    while True:
        most = min(_BATCH, MOST_ROWS - rows)
        found = history.page(connection, predictions_of(caller), filters, before, most, caller.reader_id)
        file.write("".join(sheet.line(_cells(row)) for row in found.rows).encode())
        rows, before = rows + len(found.rows), found.before
        if before is None:
            return rows, False
        if rows == MOST_ROWS:
            said = (
                f"The list was cut here, after the newest {MOST_ROWS} predictions; narrow the filters for the others."
            )
            file.write(sheet.line([said, *("" for _ in _COLUMNS[1:])]).encode())
            return rows, True


def _cells(row: HistoryRow) -> tuple[str, ...]:
    rejected = row.action == "reject"  # no answer was given, so none stands here
    return (
        f"{row.created_at:%Y-%m-%d %H:%M:%S}",
        row.patient_key,
        row.title,
        row.action,
        "" if rejected else row.label,
        "" if rejected else f"{row.confidence:.4f}",
        "" if rejected or row.entropy is None else f"{row.entropy:.4f}",
        row.model_name,
        row.bundle_id,
        "yes" if row.reviewed else "no",
        "told after your own review" if row.disagreed is None else "yes" if row.disagreed else "no",
        row.study_id,
        row.id,
    )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(1 << 16):
            yield piece
