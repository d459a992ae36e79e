"""A service whose rules store what comes in under pseudonyms, and what its records hold."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pydicom.dataset import Dataset
from sqlalchemy import Engine, select

from insula.serve.pacs.identity import made
from insula.serve.pacs.pseudonymise import Pseudonyms
from insula.serve.pacs.rules import Rule, Rules, When
from insula.serve.service import Service
from insula.serve.store.connect import reading
from insula.serve.store.files import open_files
from insula.serve.store.schema import metadata

SEAL = made("i" * 40)
HIDE = Rules(rules=(Rule(name="research", project="Inside", pseudonymise=True),))
PSEUDONYMS = Pseudonyms(HIDE, SEAL)


def service_of(records: Engine, folder: Path) -> Service:
    """What `receive` needs of a service, without an application around it."""
    return cast("Service", SimpleNamespace(records=records, files=open_files(str(folder / "files"))))


def only(**when: str) -> Pseudonyms:
    """Pseudonyms for what fits, and for nothing else."""
    rest = Rule(name="others", project="Inside")
    return Pseudonyms(Rules(rules=(HIDE.rules[0].model_copy(update={"when": When(**when)}), rest)), SEAL)


def file_of(image: Dataset) -> bytes:
    """A data set as a file."""
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def rows(records: Engine, table: str) -> list[dict[str, Any]]:
    """All rows of a table."""
    found = metadata.tables[table]
    with reading(records) as connection:
        return [dict(row._mapping) for row in connection.execute(select(found).order_by(found.c.seq))]


def everything(records: Engine) -> bytes:
    """All that the records hold, as bytes."""
    with reading(records) as connection:
        found = [str(tuple(row)) for table in metadata.sorted_tables for row in connection.execute(select(table))]
    return "\n".join(found).encode()
