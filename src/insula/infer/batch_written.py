"""The forms of a batch's table: Parquet, and CSV for an install without pyarrow and for whoever reads no Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from insula.core.cells import guarded
from insula.core.errors import UsageError
from insula.core.parts import need_for_table
from insula.core.provenance import write_json
from insula.infer.batch_rows import Columns, Row

if TYPE_CHECKING:
    import pyarrow as pa

Put = Callable[[Sequence[Row]], None]
Facts = Mapping[str, str]
_FORMAT: Final = "insula-predictions"


def check(out: Path) -> None:
    """Refuse a table that cannot be written here: UsageError for another ending, MissingPartError without pyarrow."""
    if out.suffix.lower() not in WRITERS:
        raise UsageError(f"'{out.name}' is no name of a table; write --out NAME.parquet or --out NAME.csv.")
    need_for_table(out)


@contextmanager
def _parquet(part: Path, out: Path, columns: Columns, facts: Facts) -> Iterator[Put]:
    """Rows go to `part`; the facts are its metadata. What a row does not have is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"text": pa.string(), "number": pa.float64(), "count": pa.int32(), "flag": pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in columns.items()]).with_metadata(dict(facts))
    with pq.ParquetWriter(part, schema) as writer:
        yield lambda rows: writer.write_table(_of(rows, schema))


def _of(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    found = {name: pa.array([row.get(name) for row in rows], schema.field(name).type) for name in schema.names}
    return pa.table(found, schema=schema)


@contextmanager
def _csv(part: Path, out: Path, columns: Columns, facts: Facts) -> Iterator[Put]:
    """Rows go to `part`, in UTF-8; columns and facts to `<name of out>.schema.json`. Empty is what a row has not.

    Texts that a spreadsheet would take for a formula start with an apostrophe.
    """
    described = {"format": _FORMAT, **facts, "columns": dict(columns)}
    write_json(out.with_name(f"{out.name}.schema.json"), described)
    with part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([guarded(name) for name in columns])
        yield lambda rows: writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(value) if isinstance(value, str) else value


Writer = Callable[[Path, Path, Columns, Facts], AbstractContextManager[Put]]
WRITERS: Final[Mapping[str, Writer]] = {".parquet": _parquet, ".csv": _csv}
