"""How Alembic runs: on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from avatar_bot.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
