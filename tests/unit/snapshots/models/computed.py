"""Attributes that are computed: hybrids, column properties, composites, synonyms, methods."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any, Self

from sqlalchemy import ForeignKey, Integer, String, case, func, select
from sqlalchemy.ext.hybrid import hybrid_method, hybrid_property
from sqlalchemy.ext.mutable import MutableComposite
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    column_property,
    composite,
    deferred,
    mapped_column,
    relationship,
    synonym,
    synonym_for,
)


class Base(DeclarativeBase):
    """The tables of these classes."""


class Greeter(Base):
    """A base class with methods, for `super()`."""

    __abstract__ = True

    def describe(self) -> str:
        """Describe the object."""
        return "an account"


class Account(Greeter):
    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    first: Mapped[str]
    last: Mapped[str]
    cents: Mapped[int] = mapped_column(default=0)
    _nick: Mapped[str | None] = mapped_column("nick")
    long_text: Mapped[str | None] = mapped_column(deferred=True)
    long_note: Mapped[str | None] = mapped_column(deferred=True, deferred_group="long")
    long_mail: Mapped[str | None] = mapped_column(deferred=True, deferred_group="long")
    entries: Mapped[list[Entry]] = relationship(back_populates="account", order_by="Entry.id")

    surname = synonym("last")
    postings = synonym("entries")

    @hybrid_property
    def euros(self) -> float:
        """The balance, in euros."""
        return self.cents / 100

    @euros.inplace.setter
    def _euros_setter(self, value: float) -> None:
        self.cents = int(value * 100)

    @euros.inplace.expression
    @classmethod
    def _euros_expression(cls) -> Any:
        return cls.cents / 100.0

    @hybrid_property
    def kind(self) -> str:
        """Rich or poor, the two sides written separately."""
        return "rich" if self.cents > 1000 else "poor"

    @kind.inplace.expression
    @classmethod
    def _kind_expression(cls) -> Any:
        return case((cls.cents > 1000, "rich"), else_="poor")

    @hybrid_method
    def has_more_than(self, cents: int) -> bool:
        """Compare the balance."""
        return self.cents > cents

    @property
    def nick(self) -> str:
        """A plain property over a column with another name."""
        return self._nick or "nobody"

    @nick.setter
    def nick(self, value: str) -> None:
        self._nick = value

    @property
    def entry_sum(self) -> int:
        """A plain property over a relationship."""
        return sum(entry.cents for entry in self.entries)

    @cached_property
    def initials(self) -> str:
        """A property that keeps its value in the instance."""
        return self.first[0] + self.last[0]

    def describe(self) -> str:
        """Describe the object, on top of what the base class says."""
        return f"{super().describe()} of {self.first}"

    def describe_by_name(self) -> str:
        """Use the two-argument `super()`."""
        return super(Account, self).describe()  # noqa: UP008 - that is the case

    def twin(self) -> Self:
        """Make another account like this one."""
        return type(self)(first=self.first, last=self.last)

    def rename(self, name: str) -> None:
        """Try to change the object."""
        self.first = name

    @classmethod
    def nobody(cls) -> Self:
        """Make an empty account."""
        return cls(first="No", last="Body")

    @staticmethod
    def currency() -> str:
        """Name the currency."""
        return "EUR"

    def as_dict(self) -> dict[str, Any]:
        """Read the instance's own attributes, as many recipes do."""
        return {name: value for name, value in self.__dict__.items() if name[0] != "_"}

    def __str__(self) -> str:
        return f"{self.first} {self.last}"


class Entry(Base):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    cents: Mapped[int]
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"))
    account: Mapped[Account] = relationship(back_populates="entries")


Account.full_name = column_property(Account.first + " " + Account.last)
Account.entry_count = column_property(
    select(func.count(Entry.id))
    .where(Entry.account_id == Account.id)
    .correlate_except(Entry)
    .scalar_subquery()
)
Account.slow_count = deferred(
    select(func.max(Entry.cents))
    .where(Entry.account_id == Account.id)
    .correlate_except(Entry)
    .scalar_subquery()
)


@dataclasses.dataclass
class Point:
    x: int
    y: int

    def length(self) -> int:
        """Add both sides."""
        return self.x + self.y


@dataclasses.dataclass(frozen=True)
class Colour:
    red: int
    green: int


class Money:
    """A plain class with the protocol of a composite."""

    def __init__(self, amount: int, currency: str) -> None:
        self.amount = amount
        self.currency = currency

    def __composite_values__(self) -> tuple[int, str]:
        return self.amount, self.currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))


@dataclasses.dataclass
class Span(MutableComposite):
    start: int
    end: int

    def __setattr__(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)
        self.changed()


@dataclasses.dataclass
class Place:
    """Can be missing."""

    street: str | None
    town: str | None


class Drawing(Base):
    __tablename__ = "drawing"

    id: Mapped[int] = mapped_column(primary_key=True)
    point: Mapped[Point] = composite(mapped_column("x"), mapped_column("y"))
    colour: Mapped[Colour] = composite(mapped_column("red"), mapped_column("green"))
    price: Mapped[Money] = composite(
        mapped_column("amount", Integer), mapped_column("currency", String)
    )
    span: Mapped[Span] = composite(mapped_column("start"), mapped_column("end"))
    place: Mapped[Place | None] = composite(
        Place,
        mapped_column("street", String, nullable=True),
        mapped_column("town", String, nullable=True),
    )


def drawing() -> Drawing:
    """Make a drawing with every composite but the last."""
    return Drawing(
        id=1,
        point=Point(1, 2),
        colour=Colour(3, 4),
        price=Money(5, "EUR"),
        span=Span(6, 7),
    )


class Pair:
    """A composite with slots, whose class cannot be exchanged."""

    __slots__ = ("left", "right")

    def __init__(self, left: int, right: int) -> None:
        self.left = left
        self.right = right

    def __composite_values__(self) -> tuple[int, int]:
        return self.left, self.right

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair) and (other.left, other.right) == (self.left, self.right)

    __hash__ = None


class Release(Base):
    __tablename__ = "release"

    id: Mapped[int] = mapped_column(primary_key=True)
    pair: Mapped[Pair] = composite(
        Pair, mapped_column("left", Integer), mapped_column("right", Integer)
    )


@dataclasses.dataclass(order=True)
class Spot:
    """Its methods make others of its class."""

    x: int
    y: int

    def moved(self, by: int) -> Self:
        """Make one that is further to the right."""
        return type(self)(self.x + by, self.y)

    def __add__(self, other: Spot) -> Spot:
        return self.__class__(self.x + other.x, self.y + other.y)


class Mail:
    """Its equality does not look at the case."""

    def __init__(self, user: str, host: str) -> None:
        self.user, self.host = user, host

    def __composite_values__(self) -> tuple[str, str]:
        return self.user, self.host

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mail) and other.user.lower() == self.user.lower()

    def __hash__(self) -> int:
        return hash(self.user.lower())


class Marker(Base):
    """Composites with habits of their own, and synonyms that are not what they stand for."""

    __tablename__ = "marker"

    id: Mapped[int] = mapped_column(primary_key=True)
    spot: Mapped[Spot] = composite(Spot, mapped_column("x", Integer), mapped_column("y", Integer))
    mail: Mapped[Mail] = composite(
        Mail, mapped_column("user", String), mapped_column("host", String)
    )
    _label: Mapped[str] = mapped_column("label")
    _code: Mapped[str] = mapped_column("code")

    @synonym_for("_label")
    @property
    def label(self) -> str:
        """The label in small letters."""
        return self._label.lower()

    @property
    def _told(self) -> str:
        return f"code {self._code}"

    code = synonym("_code", descriptor=_told)


def marker() -> Marker:
    """Make a marker with everything."""
    return Marker(id=1, spot=Spot(1, 2), mail=Mail("Lisa", "x"), _label="BIG", _code="c")
