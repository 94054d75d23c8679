"""Models with columns and keys that each driver treats in its own way."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Interval,
    LargeBinary,
    Numeric,
    String,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(50))
    money: Mapped[Decimal | None] = mapped_column(Numeric(12, 2))
    score: Mapped[Decimal | None] = mapped_column(Double(asdecimal=True))
    ratio: Mapped[float | None] = mapped_column(Numeric(12, 2, asdecimal=False))
    level: Mapped[Level | None] = mapped_column(Enum(Level))
    active: Mapped[bool | None]
    data: Mapped[Any | None] = mapped_column(JSON)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    moment: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    token: Mapped[uuid.UUID | None]
    items: Mapped[list[Item]] = relationship(back_populates="account", order_by="Item.place")


class Item(Base):
    """Has a key that is no number."""

    __tablename__ = "items"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey(Account.id), index=True)
    place: Mapped[int]
    account: Mapped[Account] = relationship(back_populates="items")
    parts: Mapped[list[Part]] = relationship(order_by="Part.number.desc()")


class Part(Base):
    """Has a key of two columns."""

    __tablename__ = "parts"
    item_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(Item.id), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    uses: Mapped[list[Use]] = relationship(order_by="Use.id")


class Use(Base):
    __tablename__ = "uses"
    id: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[uuid.UUID]
    number: Mapped[int]
    __table_args__ = (
        ForeignKeyConstraint(["item_id", "number"], ["parts.item_id", "parts.number"]),
    )


NOON = dt.datetime(2026, 1, 2, 12, 30, 15)  # noqa: DTZ001  (not every database has time zones)


def full(number: int) -> Account:
    """Return an account with a value in every column."""
    return Account(
        id=number,
        name=f"Ännä {number}",
        money=Decimal("12.50"),
        score=Decimal("0.25"),
        ratio=1.5,
        level=Level.HIGH,
        active=True,
        data={"a": [1, None, {"b": "ü"}]},
        raw=b"\x00\xff",
        day=NOON.date(),
        hour=NOON.time(),
        moment=NOON.replace(tzinfo=dt.UTC),
        span=dt.timedelta(days=1, seconds=5),
        token=uuid.UUID(int=number),
        items=[
            Item(
                id=uuid.UUID(int=number * 100 + place),
                place=place,
                parts=[
                    Part(number=n, uses=[Use(id=number * 1000 + place * 10 + n)]) for n in range(2)
                ],
            )
            for place in range(3)
        ],
    )


def empty(number: int) -> Account:
    """Return an account with a NULL in every column that takes one."""
    return Account(id=number)
