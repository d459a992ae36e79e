"""The tables of what came over the network, what was made of it, and where it was sent."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from insula.serve.store.columns import Moment, metadata, now, row

pacs_studies = Table(  # what came over the network, by the study's UID; study_id: the record that was made of it
    "pacs_studies",
    metadata,
    *row(),
    Column("study_uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE")),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), index=True),
    Column("source", String(64), nullable=False),
    Column("state", String(20), nullable=False, default="receiving"),
    Column("last_at", Moment, nullable=False, default=now),
    Column("generation", Integer, nullable=False, default=0),  # how often it was whole: late instances make it so anew
    Column("description", String(64), nullable=False, default=""),
    Column("study_date", String(8), nullable=False, default=""),  # as DICOM writes it, moved under pseudonyms
    Column("accession_number", String(16), nullable=False, default=""),
    Column("identity", Text),  # sealed: who a pseudonymised patient is, and the true UIDs of the study
    Column("error", JSON),
    Index(None, "state", "last_at"),
    Index(None, "project_id", "last_at"),
)

pacs_series = Table(
    "pacs_series",
    metadata,
    *row(),
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
    *row(),
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
    *row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("kind", String(20), nullable=False),
    Column("study_uid", String(64), nullable=False, index=True),
    Column("series_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False, unique=True),
    Column("sent_uid", String(64), index=True),  # under which it goes out, where a patient's true UIDs are put back
    Column("sop_class_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

pacs_deliveries = Table(  # which peer has taken what was made of a prediction
    "pacs_deliveries",
    metadata,
    *row(),
    Column("prediction_id", ForeignKey("predictions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("review_id", String(32)),
    Column("peer", String(32), nullable=False),
    Column("objects", Integer, nullable=False, default=0),
)

workitems = Table(  # unified procedure steps (PS3.4 Annex CC)
    "workitems",
    metadata,
    *row(),
    Column("uid", String(64), nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), index=True),
    Column("state", String(20), nullable=False, default="SCHEDULED"),
    Column("transaction_uid", String(64)),
    Column("attributes", JSON, nullable=False, default=dict),  # PS3.18 Annex F
    Column("changed_at", Moment, nullable=False, default=now),
    Index(None, "state", "seq"),
)

pacs_watched = Table(  # how far the changes of an Orthanc have been taken in; last: number of the last change
    "pacs_watched",
    metadata,
    *row(),
    Column("peer", String(32), nullable=False, unique=True),
    Column("last", BigInteger, nullable=False),
)

workitems_taken = Table(  # work items of a peer that the node has claimed, as long as it is at them
    "workitems_taken",
    metadata,
    *row(),
    Column("peer", String(32), nullable=False),
    Column("uid", String(64), nullable=False),
    Column("transaction_uid", String(64), nullable=False),
    Column("step", String(20), nullable=False),
    Column("detail", JSON, nullable=False, default=dict),
    UniqueConstraint("peer", "uid"),
)
