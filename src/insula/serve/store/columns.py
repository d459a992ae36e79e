"""What the tables are made of: their names for constraints, instants, and the columns that most of them begin with."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, Integer, MetaData, String, TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An instant: aware in Python, UTC in the database, where SQLite knows no zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC without a zone. Raises ValueError for an instant that has none."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the instant {value!r} has no time zone; give it one, as datetime.now(UTC) does")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC, said so."""
        return None if value is None else value.replace(tzinfo=UTC)


def new_id() -> str:
    """A name for a row that nobody can guess: 32 hexadecimal digits (UUID version 4, RFC 9562)."""
    return uuid.uuid4().hex


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


WIDE = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself in a plain INTEGER alone
ID = String(32)


def row() -> list[Column[Any]]:
    """The columns that most tables begin with: the order in which rows came, their name, and when."""
    return [
        Column("seq", WIDE, primary_key=True, autoincrement=True),
        Column("id", ID, nullable=False, unique=True, default=new_id),
        Column("created_at", Moment, nullable=False, default=now),
    ]
