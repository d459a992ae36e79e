"""What a database holds, to be held against another."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, MetaData, text

from insula.serve.store.connect import reading


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that are there, in an order of their own."""
    there = MetaData()
    there.reflect(engine)
    with reading(engine) as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))), key=str)
            for name in there.tables
        }
