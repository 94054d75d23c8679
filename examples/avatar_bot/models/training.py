"""Trainings: work that is paid for, done in the background, and outlives the process."""

from __future__ import annotations

from enum import Enum

from sqlalchemy import BigInteger, Double, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from avatar_bot.models.avatar import Avatar
from avatar_bot.models.base import Base, CreatedAt
from avatar_bot.models.user import User


class TrainingStatus(Enum):
    """How a training stands; it leaves RUNNING once."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


IS_RUNNING = text("status = 'RUNNING'")


class Training(CreatedAt, Base):
    """One training of one avatar, and where its progress is shown.

    A worker holds it by writing its own mark into `worker` and renewing `lease_until`. Whoever
    finds a lease that has run out takes the training over; the old worker's mark is gone then, and
    with it every write it still had in mind.
    """

    __tablename__ = "trainings"
    __table_args__ = (
        Index(
            "uq_trainings_running",
            "avatar_id",
            unique=True,
            sqlite_where=IS_RUNNING,
            postgresql_where=IS_RUNNING,
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    avatar_id: Mapped[int] = mapped_column(ForeignKey("avatars.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    chat_id: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[int | None]
    price: Mapped[int]
    status: Mapped[TrainingStatus] = mapped_column(default=TrainingStatus.RUNNING)
    progress: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(32))
    lease_until: Mapped[float] = mapped_column(Double, default=0.0)
    announced: Mapped[bool] = mapped_column(default=False, index=True)

    avatar: Mapped[Avatar] = relationship()
    user: Mapped[User] = relationship()
