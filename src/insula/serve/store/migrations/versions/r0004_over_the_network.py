"""What comes over the network and what is sent back: received studies, objects made, deliveries, work items; and which
files a prediction was made from.
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_tables = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_WIDE = BigInteger().with_variant(Integer, "sqlite")
_NEEDED = ("projects", "studies", "predictions")  # tables that are there already, and that these point to


def upgrade() -> None:
    """Nine tables more."""
    _tables.create_all(op.get_bind(), tables=_new(), checkfirst=False)


def downgrade() -> None:
    """Without them."""
    _tables.drop_all(op.get_bind(), tables=_new(), checkfirst=False)


def _new() -> list[Table]:
    return [table for name, table in _tables.tables.items() if name not in _NEEDED]


def _row() -> list[Column[Any]]:
    return [
        Column("seq", _WIDE, primary_key=True, autoincrement=True),
        Column("id", String(32), nullable=False, unique=True),
        Column("created_at", DateTime(), nullable=False),
    ]


for _name in _NEEDED:
    Table(_name, _tables, Column("id", String(32), primary_key=True))

Table(
    "pacs_studies",
    _tables,
    *_row(),
    Column("study_uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE")),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), index=True),
    Column("source", String(64), nullable=False),
    Column("state", String(20), nullable=False),
    Column("last_at", DateTime(), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("description", String(64), nullable=False),
    Column("study_date", String(8), nullable=False),
    Column("accession_number", String(16), nullable=False),
    Column("identity", Text),
    Column("error", JSON),
    Index(None, "state", "last_at"),
    Index(None, "project_id", "last_at"),
)

Table(
    "pacs_series",
    _tables,
    *_row(),
    Column("pacs_study_id", ForeignKey("pacs_studies.id", ondelete="CASCADE"), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("body_part", String(64), nullable=False),
    Column("description", String(64), nullable=False),
    Column("identity", Text),
    UniqueConstraint("pacs_study_id", "series_uid"),
)

Table(
    "pacs_instances",
    _tables,
    *_row(),
    Column("pacs_series_id", ForeignKey("pacs_series.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("content", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("identity", Text),
)

Table(
    "pacs_objects",
    _tables,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("kind", String(20), nullable=False),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("series_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sent_uid", String(64), index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

Table(
    "prediction_sources",
    _tables,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False),
    Column("scan", String(40), nullable=False),
    Column("files", JSON, nullable=False),
    UniqueConstraint("prediction_id", "scan"),
)

Table(
    "pacs_deliveries",
    _tables,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("peer", String(32), nullable=False),
    Column("objects", Integer, nullable=False),
)

Table(
    "workitems",
    _tables,
    *_row(),
    Column("uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), index=True),
    Column("state", String(20), nullable=False),
    Column("transaction_uid", String(64)),
    Column("attributes", JSON, nullable=False),
    Column("changed_at", DateTime(), nullable=False),
    Index(None, "state", "seq"),
)

Table(
    "pacs_watched",
    _tables,
    *_row(),
    Column("peer", String(32), nullable=False, unique=True),
    Column("last", BigInteger, nullable=False),
)

Table(
    "workitems_taken",
    _tables,
    *_row(),
    Column("peer", String(32), nullable=False),
    Column("uid", String(64), nullable=False),
    Column("transaction_uid", String(64), nullable=False),
    Column("step", String(20), nullable=False),
    Column("detail", JSON, nullable=False),
    UniqueConstraint("peer", "uid"),
)
