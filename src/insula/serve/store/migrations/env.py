"""What Alembic runs: the migrations on the one connection that `insula.serve.store.migrate` opened and locked."""

from __future__ import annotations

from alembic import context

from insula.serve.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
