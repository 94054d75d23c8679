"""Columns of every type whose values can be changed, and of some that cannot."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import uuid
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    Enum,
    Integer,
    LargeBinary,
    PickleType,
    String,
    Text,
    Time,
    TypeDecorator,
    Uuid,
)
from sqlalchemy.ext.mutable import Mutable, MutableDict, MutableList, MutableSet
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The tables of the values."""


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Size(NamedTuple):
    width: int
    parts: list[int]


@dataclasses.dataclass(frozen=True)
class Frozen:
    names: list[str]


@dataclasses.dataclass
class Loose:
    names: list[str]


class Opaque:
    """A value that nobody knows how to freeze."""

    def __init__(self, inner: list[int]) -> None:
        self.inner = inner

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.inner == self.inner

    def __hash__(self) -> int:
        return hash(tuple(self.inner))


class CommaList(TypeDecorator[list[str]]):
    """A list of texts in one, as ARRAY columns give it."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        """Join the texts."""
        return None if value is None else ",".join(value)

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """Split the text."""
        return None if value is None else value.split(",")


class Amount(TypeDecorator[decimal.Decimal]):
    """A Decimal, exactly."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        """Write it as text."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """Read it from text."""
        return None if value is None else decimal.Decimal(value)


class Buffer(TypeDecorator[bytearray]):
    """Bytes that can be changed."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        """Write them."""
        return None if value is None else bytes(value)

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """Read them."""
        return None if value is None else bytearray(value)


class Tracked(Mutable, dict[str, Any]):
    """A mutable mapping of the user's own."""

    @classmethod
    def coerce(cls, key: str, value: Any) -> Any:
        """Take any dict."""
        if isinstance(value, dict) and not isinstance(value, cls):
            return cls(value)
        return value


class TrackedJson(TypeDecorator[dict[str, Any]]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        """Write JSON."""
        return json.dumps(value)

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """Read JSON."""
        return json.loads(value) if value else None


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Flags(TypeDecorator[Access]):
    """Flags as their number."""

    impl = Integer
    cache_ok = True

    @property
    def python_type(self) -> type[Access]:
        """The class of the values."""
        return Access

    def process_bind_param(self, value: Any, _dialect: Any) -> Any:
        """Write the number."""
        return None if value is None else value.value

    def process_result_value(self, value: Any, _dialect: Any) -> Any:
        """Read the number."""
        return None if value is None else Access(value)


class Grant(Base):
    __tablename__ = "grant"

    id: Mapped[int] = mapped_column(primary_key=True)
    access: Mapped[Access | None] = mapped_column(Flags)


class Record(Base):
    __tablename__ = "record"

    id: Mapped[int] = mapped_column(primary_key=True)
    document: Mapped[Any] = mapped_column(JSON)
    settings: Mapped[dict[str, Any] | None] = mapped_column(MutableDict.as_mutable(JSON))
    history: Mapped[list[Any] | None] = mapped_column(MutableList.as_mutable(JSON))
    labels: Mapped[set[Any] | None] = mapped_column(MutableSet.as_mutable(PickleType))
    tracked: Mapped[Any] = mapped_column(Tracked.as_mutable(TrackedJson), nullable=True)
    anything: Mapped[Any] = mapped_column(PickleType, nullable=True)
    words: Mapped[list[str] | None] = mapped_column(CommaList)
    level: Mapped[Level | None] = mapped_column(Enum(Level))
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
    buffer: Mapped[bytearray | None] = mapped_column(Buffer)
    amount: Mapped[decimal.Decimal | None] = mapped_column(Amount)
    at: Mapped[dt.datetime | None]
    on: Mapped[dt.date | None]
    clock: Mapped[dt.time | None] = mapped_column(Time)
    lasting: Mapped[dt.timedelta | None]
    token: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    ratio: Mapped[float | None]


def record(**columns: Any) -> Record:
    """Make a record whose JSON document is empty unless told."""
    return Record(**{"id": 1, "document": None, **columns})
