"""Albums whose photos are answered together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "album_parts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("album", sa.String(length=64), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_album_parts")),
    )
    op.create_index(op.f("ix_album_parts_album"), "album_parts", ["album"])


def downgrade() -> None:
    op.drop_table("album_parts")
