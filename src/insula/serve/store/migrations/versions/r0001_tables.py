"""The tables as they were first: written down as they stood then, and never changed after."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None
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


def upgrade() -> None:
    """All tables."""
    _tables.create_all(op.get_bind(), checkfirst=False)


def downgrade() -> None:
    """No table."""
    _tables.drop_all(op.get_bind(), checkfirst=False)


def _row() -> list[Column[Any]]:
    return [
        Column("seq", _WIDE, primary_key=True, autoincrement=True),
        Column("id", String(32), nullable=False, unique=True),
        Column("created_at", DateTime(), nullable=False),
    ]


Table("projects", _tables, *_row(), Column("name", String(120), nullable=False, unique=True))

Table(
    "users",
    _tables,
    *_row(),
    Column("name", String(120), nullable=False, unique=True),
    Column("full_name", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("password_set_at", DateTime()),
    Column("failed_logins", Integer, nullable=False),
    Column("locked_until", DateTime()),
    Column("issuer", String(400)),
    Column("subject", String(255)),
    UniqueConstraint("issuer", "subject"),
)

Table(
    "members",
    _tables,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", DateTime(), nullable=False),
)

Table(
    "sessions",
    _tables,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("csrf_hash", String(64), nullable=False),
    Column("seen_at", DateTime(), nullable=False),
    Column("ends_at", DateTime(), nullable=False),
    Column("ended_at", DateTime()),
)

Table(
    "api_keys",
    _tables,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(120), nullable=False),
    Column("prefix", String(16), nullable=False, unique=True),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("ends_at", DateTime(), nullable=False),
    Column("revoked_at", DateTime()),
    Column("used_at", DateTime()),
)

Table(
    "glass",
    _tables,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("ends_at", DateTime(), nullable=False),
)

Table(
    "patients",
    _tables,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    UniqueConstraint("project_id", "key"),
)

Table(
    "studies",
    _tables,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("patient_id", ForeignKey("patients.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL")),
    Column("title", String(200), nullable=False),
    Column("note", Text, nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("version", Integer, nullable=False),
    Index(None, "project_id", "seq"),
)

Table(
    "files",
    _tables,
    *_row(),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String(40), nullable=False),
    Column("name", String(120), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

Table(
    "models",
    _tables,
    *_row(),
    Column("bundle_id", String(64), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("path", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("share", Float, nullable=False),
    Column("info", JSON, nullable=False),
    Column("changed_at", DateTime(), nullable=False),
    Index(None, "name", "state"),
)

Table(
    "jobs",
    _tables,
    *_row(),
    Column("kind", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("unique_key", String(200), unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE")),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL")),
    Column("payload", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("progress", Float, nullable=False),
    Column("step", String(120), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("most_attempts", Integer, nullable=False),
    Column("run_after", DateTime(), nullable=False),
    Column("lease_owner", String(120)),
    Column("lease_until", DateTime()),
    Column("ended_at", DateTime()),
    Index(None, "state", "run_after"),
)

Table(
    "predictions",
    _tables,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("job_id", String(32), index=True),
    Column("bundle_id", String(64), nullable=False),
    Column("model_name", String(120), nullable=False),
    Column("arm", String(20), nullable=False),
    Column("action", String(10), nullable=False),
    Column("label", String(120), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("entropy", Float),
    Column("domain_score", Float),
    Column("answer", JSON, nullable=False),
    Column("monitored", JSON, nullable=False),
    Column("milliseconds", Float, nullable=False),
    Column("reviewed", Boolean, nullable=False),
    Column("disagreed", Boolean, nullable=False),
    UniqueConstraint("job_id", "bundle_id"),
    Index(None, "project_id", "seq"),
    Index(None, "project_id", "action", "seq"),
    Index(None, "project_id", "label", "seq"),
    Index(None, "project_id", "bundle_id", "seq"),
    Index(None, "project_id", "disagreed", "seq"),
    Index(None, "project_id", "reviewed", "entropy"),
    Index(None, "bundle_id", "created_at"),
)

Table(
    "artefacts",
    _tables,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("role", String(40), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String(100), nullable=False),
    UniqueConstraint("prediction_id", "kind", "role"),
)

Table(
    "reviews",
    _tables,
    *_row(),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), index=True),
    Column("reviewer_id", ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("target", String(64), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("label", String(120)),
    Column("comment", Text, nullable=False),
    Column("signature", String(200), nullable=False),
    Column("blinded", Boolean, nullable=False),
    Column("replaced_by", String(32)),
)

Table(
    "idempotency",
    _tables,
    Column("caller", String(80), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("created_at", DateTime(), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer),
    Column("body", JSON),
)

Table(
    "trail",
    _tables,
    Column("seq", _WIDE, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(80), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(120), nullable=False),
    Column("outcome", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
    Index(None, "subject"),
    Index(None, "actor"),
)

Table(
    "alerts",
    _tables,
    *_row(),
    Column("kind", String(60), nullable=False),
    Column("bundle_id", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    Column("sent_at", DateTime()),
    Column("closed_at", DateTime()),
    Index(None, "kind", "bundle_id", "closed_at"),
)
