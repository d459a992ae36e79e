"""Rules of retention, the order of a reviewer's history, tokens that count once, one open alert of a kind."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TRAIL_BEFORE = (["subject"], ["actor"])
_TRAIL_AFTER = (["actor", "seq"], ["action", "seq"], ["subject", "seq"], ["at", "seq"])


def upgrade() -> None:
    """The tables of the first release of the records."""
    op.add_column("projects", sa.Column("keep_files_days", sa.Integer()))
    op.add_column("projects", sa.Column("keep_predictions_days", sa.Integer()))
    op.create_table(
        "token_uses",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("ends_at", sa.DateTime(), nullable=False),
    )
    _index("token_uses", ["ends_at"])
    _index("predictions", ["created_at"])
    op.add_column("reviews", sa.Column("prediction_seq", sa.BigInteger()))
    op.execute(
        "UPDATE reviews SET prediction_seq = (SELECT p.seq FROM predictions AS p WHERE p.id = reviews.prediction_id)"
    )
    _index("reviews", ["reviewer_id", "prediction_seq"])
    _trail(80, 120, _TRAIL_BEFORE, _TRAIL_AFTER)
    op.execute(  # of several open alerts of one kind and bundle the newest stays open
        "UPDATE alerts SET closed_at = created_at WHERE closed_at IS NULL AND seq NOT IN "
        "(SELECT max(seq) FROM alerts WHERE closed_at IS NULL GROUP BY kind, bundle_id)"
    )
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "uq_alerts_open",
        "alerts",
        ["kind", "bundle_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def downgrade() -> None:
    """The first tables; a rule of retention and the tokens that were used are lost."""
    op.drop_index("uq_alerts_open", "alerts")
    _trail(120, 80, _TRAIL_AFTER, _TRAIL_BEFORE)
    op.drop_index("ix_reviews_reviewer_id_prediction_seq", "reviews")
    op.drop_column("reviews", "prediction_seq")
    op.drop_index("ix_predictions_created_at", "predictions")
    op.drop_table("token_uses")
    op.drop_column("projects", "keep_predictions_days")
    op.drop_column("projects", "keep_files_days")


def _trail(before: int, after: int, drop: tuple[list[str], ...], make: tuple[list[str], ...]) -> None:
    for columns in drop:
        op.drop_index(_named("trail", columns), "trail")
    with op.batch_alter_table("trail") as batch:
        batch.alter_column("actor", existing_type=sa.String(before), type_=sa.String(after), existing_nullable=False)
    for columns in make:
        _index("trail", columns)


def _index(table: str, columns: list[str]) -> None:
    op.create_index(_named(table, columns), table, columns)


def _named(table: str, columns: list[str]) -> str:
    return "_".join(["ix", table, *columns])
