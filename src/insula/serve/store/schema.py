"""The tables of the service's records, alike on SQLite and PostgreSQL.

Each row has `seq`, the order in which rows came, by which lists are paged, and `id`, the name that others see. Instants
are UTC; JSON columns hold plain objects. Pictures and documents lie in the file store under their SHA-256 (`files`).
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from insula.serve.store.columns import WIDE, Moment, row
from insula.serve.store.columns import metadata as metadata
from insula.serve.store.columns import new_id as new_id
from insula.serve.store.columns import now as now
from insula.serve.store.schema_network import pacs_deliveries as pacs_deliveries
from insula.serve.store.schema_network import pacs_instances as pacs_instances
from insula.serve.store.schema_network import pacs_objects as pacs_objects
from insula.serve.store.schema_network import pacs_series as pacs_series
from insula.serve.store.schema_network import pacs_studies as pacs_studies
from insula.serve.store.schema_network import pacs_watched as pacs_watched
from insula.serve.store.schema_network import workitems as workitems
from insula.serve.store.schema_network import workitems_taken as workitems_taken

projects = Table(
    "projects",
    metadata,
    *row(),
    Column("name", String(120), nullable=False, unique=True),
    Column("keep_files_days", Integer),  # None: for ever
    Column("keep_predictions_days", Integer),
)

users = Table(
    "users",
    metadata,
    *row(),
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
    *row(),
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
    *row(),
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
    *row(),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("ends_at", Moment, nullable=False),
)

patients = Table(
    "patients",
    metadata,
    *row(),
    Column("project_id", ForeignKey("projects.id"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("name", String(200), nullable=False, default=""),
    UniqueConstraint("project_id", "key"),
)

studies = Table(
    "studies",
    metadata,
    *row(),
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
    *row(),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", String(40), nullable=False),
    Column("name", String(120), nullable=False, default=""),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

models = Table(
    "models",
    metadata,
    *row(),
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
    *row(),
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
    *row(),
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
    *row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String(40), nullable=False),
    Column("role", String(40), nullable=False, default=""),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
    Column("media_type", String(100), nullable=False),
    UniqueConstraint("prediction_id", "kind", "role"),
)

prediction_sources = Table(  # which files of its study a scan of a prediction was made from
    "prediction_sources",
    metadata,
    *row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False),
    Column("scan", String(40), nullable=False),  # as its heat is named: `ct`, `ct.2`
    Column("files", JSON, nullable=False),  # ids, which stay when studies are joined
    UniqueConstraint("prediction_id", "scan"),
)

reviews = Table(
    "reviews",
    metadata,
    *row(),
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
    Column("seq", WIDE, primary_key=True, autoincrement=False),
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
    *row(),
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
