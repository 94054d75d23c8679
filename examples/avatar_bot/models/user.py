"""Users, what they own, and every change of it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from avatar_bot.models.base import Base, CreatedAt

if TYPE_CHECKING:
    from avatar_bot.models.avatar import Avatar


class TransactionKind(Enum):
    """Why a balance changed."""

    WELCOME = "welcome"
    TOP_UP = "top_up"
    CHARGE = "charge"
    REFUND = "refund"


class User(CreatedAt, Base):
    """A person who has sent /start to the bot."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    telegram_id: Mapped[int] = mapped_column(BigInteger, unique=True)
    username: Mapped[str | None] = mapped_column(String(64))
    first_name: Mapped[str] = mapped_column(String(64))
    language_code: Mapped[str] = mapped_column(String(8), default="ru")

    balance: Mapped[UserBalance] = relationship(back_populates="user")
    avatars: Mapped[list[Avatar]] = relationship(back_populates="user", order_by="Avatar.id")
    transactions: Mapped[list[BalanceTransaction]] = relationship(
        back_populates="user", order_by="BalanceTransaction.id"
    )


class UserBalance(Base):
    """The coins of one user: whole credits, never below zero."""

    __tablename__ = "user_balances"
    __table_args__ = (CheckConstraint("coins >= 0", name="not_negative"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), unique=True)
    coins: Mapped[int] = mapped_column(default=0)

    user: Mapped[User] = relationship(back_populates="balance")


class BalanceTransaction(CreatedAt, Base):
    """One change of a balance; the sum of a user's changes is the user's balance.

    A training is charged once and refunded once: the constraint says so, whatever the code does.
    `training_id` is no foreign key: the books stay when an avatar and its trainings are deleted.
    """

    __tablename__ = "balance_transactions"
    __table_args__ = (
        UniqueConstraint("training_id", "kind", name="uq_balance_transactions_training"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    amount: Mapped[int]
    kind: Mapped[TransactionKind]
    training_id: Mapped[int | None]

    user: Mapped[User] = relationship(back_populates="transactions")
