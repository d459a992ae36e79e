"""The order in which predictions that are read, or not, came: the history is filtered by it."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_NAME = "ix_predictions_project_id_reviewed_seq"


def upgrade() -> None:
    """One index more."""
    op.create_index(_NAME, "predictions", ["project_id", "reviewed", "seq"])


def downgrade() -> None:
    """Without it."""
    op.drop_index(_NAME, "predictions")
