"""Keys of several columns, one-to-one, and many-to-ones of all sorts."""

from __future__ import annotations

from sqlalchemy import ForeignKey, ForeignKeyConstraint, and_
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    foreign,
    mapped_column,
    relationship,
    remote,
)


class Base(DeclarativeBase):
    """The tables of these keys."""


class Owner(Base):
    __tablename__ = "owner"

    id: Mapped[int] = mapped_column(primary_key=True)
    passport: Mapped[Passport | None] = relationship(back_populates="owner")


class Passport(Base):
    __tablename__ = "passport"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owner.id"))
    owner: Mapped[Owner | None] = relationship(back_populates="passport")


class Seat(Base):
    """Its key has two columns."""

    __tablename__ = "seat"

    row: Mapped[int] = mapped_column(primary_key=True)
    letter: Mapped[str] = mapped_column(primary_key=True)
    tickets: Mapped[list[Ticket]] = relationship(back_populates="seat", order_by="Ticket.id")


class Ticket(Base):
    __tablename__ = "ticket"
    __table_args__ = (
        ForeignKeyConstraint(["seat_row", "seat_letter"], ["seat.row", "seat.letter"]),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    seat_row: Mapped[int | None]
    seat_letter: Mapped[str | None]
    seat: Mapped[Seat | None] = relationship(back_populates="tickets")


class Country(Base):
    """Its key is a text; it has another column to refer to, and a state of its own."""

    __tablename__ = "country"

    code: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    is_open: Mapped[bool] = mapped_column(default=True)


class Trip(Base):
    __tablename__ = "trip"

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(ForeignKey("country.code"))
    number: Mapped[int | None] = mapped_column(ForeignKey("country.number"))
    country: Mapped[Country | None] = relationship(foreign_keys=[code])
    by_number: Mapped[Country | None] = relationship(foreign_keys=[number])
    if_open: Mapped[Country | None] = relationship(
        primaryjoin=lambda: and_(
            foreign(Trip.code) == remote(Country.code), remote(Country.is_open)
        ),
        viewonly=True,
    )
    never_lazy: Mapped[Country | None] = relationship(
        foreign_keys=[code], lazy="raise", viewonly=True
    )


class Street(Base):
    """Has two numbers that are easily confused."""

    __tablename__ = "street"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    houses: Mapped[list[House]] = relationship(back_populates="street")


class House(Base):
    __tablename__ = "house"

    id: Mapped[int] = mapped_column(primary_key=True)
    street_number: Mapped[int | None] = mapped_column(ForeignKey("street.number"))
    street: Mapped[Street | None] = relationship(back_populates="houses")
