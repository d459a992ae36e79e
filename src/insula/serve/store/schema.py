"""The tables of the service's records, alike on SQLite and PostgreSQL.

Each row has `seq`, the order in which rows came, by which lists are paged, and `id`, the name that others see. Instants
are UTC; JSON columns hold plain objects. Pictures and documents lie in the file store under their SHA-256 (`files`).
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

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


_WIDE = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself in a plain INTEGER alone
_ID = String(32)


def _row() -> list[Column[Any]]:
    return [
        Column("seq", _WIDE, primary_key=True, autoincrement=True),
        Column("id", _ID, nullable=False, unique=True, default=new_id),
        Column("created_at", Moment, nullable=False, default=now),
    ]


projects = Table(
    "projects",
    metadata,
    *_row(),
    Column("name", String(120), nullable=False, unique=True),
    Column("keep_files_days", Integer),  # None: for ever
    Column("keep_predictions_days", Integer),
)

users = Table(
    "users",
    metadata,
    *_row(),
    Column("name", String(120), nullable=False, unique=True),
    Column("full_name", String(200), nullable=False, default=""),
    Column("role", String(20), nullable=False),
    Column("active", Boolean, nullable=False, default=True),
    Column("password_hash", Text),
    Column("password_set_at", Moment),
    Column("failed_logins", Integer, nullable=False, default=0),
    Column("locked_until", Moment),
    Column("issuer", String(400)),
    Column("subject", String(255)),
    UniqueConstraint("issuer", "subject"),
)

members = Table(
    "members",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True),
    Column("created_at", Moment, nullable=False, default=now),
)

sessions = Table(
    "sessions",
    metadata,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("csrf_hash", String(64), nullable=False),
    Column("seen_at", Moment, nullable=False, default=now),
    Column("ends_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

api_keys = Table(
    "api_keys",
    metadata,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String(120), nullable=False),
    Column("prefix", String(16), nullable=False, unique=True),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("used_at", Moment),
)

token_uses = Table(  # bearer tokens that count once: which were shown, until they would have expired anyway
    "token_uses",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("ends_at", Moment, nullable=False, index=True),
)

glass = Table(  # break-glass: who opened which study of another project, why, and until when
    "glass",
    metadata,
    *_row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("ends_at", Moment, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("name", String(200), nullable=False, default=""),
    UniqueConstraint("project_id", "key"),
)

studies = Table(
    "studies",
    metadata,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("patient_id", ForeignKey("patients.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL")),
    Column("title", String(200), nullable=False, default=""),
    Column("note", Text, nullable=False, default=""),
    Column("attributes", JSON, nullable=False, default=dict),
    Column("facts", JSON, nullable=False, default=dict),
    Column("version", Integer, nullable=False, default=1),
    Index(None, "project_id", "seq"),
)

files = Table(
    "files",
    metadata,
    *_row(),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String(40), nullable=False),
    Column("name", String(120), nullable=False, default=""),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

models = Table(
    "models",
    metadata,
    *_row(),
    Column("bundle_id", String(64), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("path", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("share", Float, nullable=False, default=0.0),
    Column("info", JSON, nullable=False, default=dict),
    Column("changed_at", Moment, nullable=False, default=now),
    Index(None, "name", "state"),
)

jobs = Table(
    "jobs",
    metadata,
    *_row(),
    Column("kind", String(40), nullable=False),
    Column("state", String(20), nullable=False, default="waiting"),
    Column("unique_key", String(200), unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE")),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), index=True),
    Column("created_by", ForeignKey("users.id", ondelete="SET NULL")),
    Column("payload", JSON, nullable=False, default=dict),
    Column("result", JSON),
    Column("error", JSON),
    Column("progress", Float, nullable=False, default=0.0),
    Column("step", String(120), nullable=False, default=""),
    Column("attempts", Integer, nullable=False, default=0),
    Column("most_attempts", Integer, nullable=False, default=5),
    Column("run_after", Moment, nullable=False, default=now),
    Column("lease_owner", String(120)),
    Column("lease_until", Moment),
    Column("ended_at", Moment),
    Index(None, "state", "run_after"),
)

predictions = Table(
    "predictions",
    metadata,
    *_row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("job_id", String(32), index=True),
    Column("bundle_id", String(64), nullable=False),
    Column("model_name", String(120), nullable=False),
    Column("arm", String(20), nullable=False, default="main"),
    Column("action", String(10), nullable=False),
    Column("label", String(120), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("entropy", Float),
    Column("domain_score", Float),
    Column("answer", JSON, nullable=False),
    Column("monitored", JSON, nullable=False, default=dict),
    Column("milliseconds", Float, nullable=False, default=0.0),
    Column("reviewed", Boolean, nullable=False, default=False),
    Column("disagreed", Boolean, nullable=False, default=False),
    UniqueConstraint("job_id", "bundle_id"),
    Index(None, "project_id", "seq"),
    Index(None, "created_at"),
    Index(None, "project_id", "action", "seq"),
    Index(None, "project_id", "label", "seq"),
    Index(None, "project_id", "bundle_id", "seq"),
    Index(None, "project_id", "disagreed", "seq"),
    Index(None, "project_id", "reviewed", "seq"),
    Index(None, "project_id", "reviewed", "entropy"),
    Index(None, "bundle_id", "created_at"),
)

artefacts = Table(  # what was made of a prediction: arrays of the viewer, heat maps as files, reports
    "artefacts",
    metadata,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("role", String(40), nullable=False, default=""),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String(100), nullable=False),
    UniqueConstraint("prediction_id", "kind", "role"),
)

reviews = Table(
    "reviews",
    metadata,
    *_row(),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), index=True),
    Column("prediction_seq", BigInteger),  # of that prediction, by which a reviewer's history is paged
    Column("reviewer_id", ForeignKey("users.id", ondelete="SET NULL"), index=True),
    Column("target", String(64), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("label", String(120)),
    Column("comment", Text, nullable=False, default=""),
    Column("signature", String(200), nullable=False),
    Column("blinded", Boolean, nullable=False, default=False),
    Column("replaced_by", String(32)),
    Index(None, "reviewer_id", "prediction_seq"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("caller", String(80), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("created_at", Moment, nullable=False, default=now),
    Column("request_hash", String(64), nullable=False),
    Column("status", Integer),
    Column("body", JSON),
)

trail = Table(
    "trail",
    metadata,
    Column("seq", _WIDE, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(120), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(120), nullable=False, default=""),
    Column("outcome", String(20), nullable=False, default="done"),
    Column("detail", Text, nullable=False, default="{}"),
    Column("previous", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
    Index(None, "actor", "seq"),
    Index(None, "action", "seq"),
    Index(None, "subject", "seq"),
    Index(None, "at", "seq"),
)

alerts = Table(
    "alerts",
    metadata,
    *_row(),
    Column("kind", String(60), nullable=False),
    Column("bundle_id", String(64), nullable=False, default=""),
    Column("message", Text, nullable=False),
    Column("detail", JSON, nullable=False, default=dict),
    Column("sent_at", Moment),
    Column("closed_at", Moment),
    Index(None, "kind", "bundle_id", "closed_at"),
    Index(  # one alert at most is open for each kind and bundle, whatever number of processes look
        "uq_alerts_open",
        "kind",
        "bundle_id",
        unique=True,
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)

pacs_studies = Table(  # what came over the network, by the study's UID; study_id: the record that was made of it
    "pacs_studies",
    metadata,
    *_row(),
    Column("study_uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE")),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), index=True),
    Column("source", String(64), nullable=False),
    Column("state", String(20), nullable=False, default="receiving"),
    Column("last_at", Moment, nullable=False, default=now),
    Column("generation", Integer, nullable=False, default=0),  # how often it was whole: late instances make it so anew
    Column("description", String(64), nullable=False, default=""),
    Column("identity", Text),  # sealed: who a pseudonymised patient is, and the true UIDs of the study
    Column("error", JSON),
    Index(None, "state", "last_at"),
    Index(None, "project_id", "seq"),
)

pacs_series = Table(
    "pacs_series",
    metadata,
    *_row(),
    Column("pacs_study_id", ForeignKey("pacs_studies.id", ondelete="CASCADE"), nullable=False),
    Column("series_uid", String(64), nullable=False),
    Column("source", String(64), nullable=False),
    Column("modality", String(16), nullable=False, default=""),
    Column("body_part", String(64), nullable=False, default=""),
    Column("description", String(64), nullable=False, default=""),
    Column("identity", Text),
    UniqueConstraint("pacs_study_id", "series_uid"),
)

pacs_instances = Table(
    "pacs_instances",
    metadata,
    *_row(),
    Column("pacs_series_id", ForeignKey("pacs_series.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("transfer_syntax_uid", String(64), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),  # of the stored file
    Column("content", String(64), nullable=False),  # of the data set as it was sent: tells a repeat from another object
    Column("size", BigInteger, nullable=False),
    Column("identity", Text),
)

pacs_objects = Table(  # what was made of a prediction, as it is sent and served
    "pacs_objects",
    metadata,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("kind", String(20), nullable=False),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("series_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

pacs_deliveries = Table(  # which peer has taken what was made of a prediction
    "pacs_deliveries",
    metadata,
    *_row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("peer", String(32), nullable=False),
    Column("objects", Integer, nullable=False, default=0),
)

workitems = Table(  # unified procedure steps (PS3.4 Annex CC)
    "workitems",
    metadata,
    *_row(),
    Column("uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), index=True),
    Column("state", String(20), nullable=False, default="SCHEDULED"),
    Column("transaction_uid", String(64)),
    Column("attributes", JSON, nullable=False, default=dict),  # PS3.18 Annex F
    Column("changed_at", Moment, nullable=False, default=now),
    Index(None, "state", "seq"),
)
