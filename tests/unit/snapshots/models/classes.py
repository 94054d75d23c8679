"""Mapped classes of every make."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs
from sqlalchemy import JSON, Column, ForeignKey, Integer, String, Table
from sqlalchemy.orm import (
    DeclarativeBase,
    DeclarativeBaseNoMeta,
    DeclarativeMeta,
    Mapped,
    MappedAsDataclass,
    declarative_base,
    mapped_column,
    registry,
    relationship,
)

# --- dataclasses ------------------------------------------------------------------------------


class DataBase(MappedAsDataclass, DeclarativeBase):
    """Its classes are dataclasses."""


class Card(DataBase):
    __tablename__ = "card"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(JSON, default_factory=list)
    comments: Mapped[list[Comment]] = relationship(
        back_populates="card", default_factory=list, repr=False, compare=False
    )
    session_note: str = dataclasses.field(default="unmapped")
    scratch: list[int] = dataclasses.field(default_factory=list)


class Comment(DataBase, kw_only=True):
    __tablename__ = "comment"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(default="")
    card_id: Mapped[int | None] = mapped_column(ForeignKey("card.id"), default=None, init=False)
    card: Mapped[Card | None] = relationship(back_populates="comments", default=None)


class HashedData(MappedAsDataclass, DeclarativeBase, unsafe_hash=True):
    """Its classes have the hash of a dataclass."""


class Coin(HashedData):
    __tablename__ = "coin"

    id: Mapped[int] = mapped_column(primary_key=True)
    cents: Mapped[int]


# --- imperative -------------------------------------------------------------------------------

imperative = registry()


class Plain:
    """A class that knows nothing of SQLAlchemy."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shout(self) -> str:
        """Say the name loudly."""
        return self.name.upper()


class PlainChild:
    """Another one."""


plain_table = Table(
    "plain",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("odd", String),
    Column("hidden", String),
    Column("keyword", String),
)
child_table = Table(
    "plain_child",
    imperative.metadata,
    Column("id", Integer, primary_key=True),
    Column("plain_id", ForeignKey("plain.id")),
)
imperative.map_imperatively(
    Plain,
    plain_table,
    properties={
        "odd name!": plain_table.c.odd,
        "__hidden": plain_table.c.hidden,
        "class": plain_table.c.keyword,
        "children": relationship(PlainChild, back_populates="parent"),
    },
)
imperative.map_imperatively(
    PlainChild, child_table, properties={"parent": relationship(Plain, back_populates="children")}
)

# --- attrs ------------------------------------------------------------------------------------


@attrs.define(slots=False, eq=False)
class Stamp:
    """An attrs class, mapped imperatively."""

    id: int
    label: str
    extra: str = "unmapped"


@attrs.define(slots=False)
class EqualStamp:
    """With the equality of attrs, which takes its hash away."""

    id: int
    label: str


for kind in (Stamp, EqualStamp):
    imperative.map_imperatively(
        kind,
        Table(
            kind.__name__.lower(),
            imperative.metadata,
            Column("id", Integer, primary_key=True),
            Column("label", String),
        ),
    )

# --- older and other bases --------------------------------------------------------------------

Legacy = declarative_base()


class Old(Legacy):
    __tablename__ = "old"

    id = Column(Integer, primary_key=True)
    name = Column(String)
    parent_id = Column(ForeignKey("old.id"))
    children = relationship("Old")


class NoMeta(DeclarativeBaseNoMeta):
    """A base without a metaclass."""


class Simple(NoMeta):
    __tablename__ = "simple"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Base(DeclarativeBase):
    """The tables of classes with habits of their own."""


class Slotted:
    """A mixin that keeps to slots."""

    __slots__ = ()

    def from_mixin(self) -> str:
        """Say where this comes from."""
        return "mixin"


class WithMixin(Slotted, Base):
    __tablename__ = "with_mixin"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class WithGetattr(Base):
    """Answers for attributes that it does not have."""

    __tablename__ = "with_getattr"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    late: Mapped[str | None] = mapped_column(deferred=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("magic_"):
            return name.removeprefix("magic_")
        raise AttributeError(name)


class WithDunders(Base):
    """Equality, truth, length and items of its own."""

    __tablename__ = "with_dunders"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("with_dunders.id"))
    owned: Mapped[list[WithDunders]] = relationship(order_by="WithDunders.id")

    def __eq__(self, other: object) -> bool:
        msg = "nobody may compare entities here"
        raise TypeError(msg)

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: str) -> str:
        return f"{self.name}[{key}]"

    def __contains__(self, item: object) -> bool:
        return item == self.name

    def __call__(self) -> str:
        return f"called {self.name}"


class Iterable(Base):
    """An entity that can be iterated over."""

    __tablename__ = "iterable"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]

    def __iter__(self) -> Iterator[str]:
        return iter(self.text)


class Registered(Base):
    """Keeps a list of its subclasses, and wants an argument from each."""

    __tablename__ = "registered"
    seen: ClassVar[list[type]] = []

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init_subclass__(cls, *, label: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Registered.seen.append(cls)


class AbstractMeta(DeclarativeMeta, abc.ABCMeta):
    """Both metaclasses."""


AbstractBase = declarative_base(metaclass=AbstractMeta)


class Speaker(AbstractBase):
    """An abstract class that is mapped by its subclasses."""

    __abstract__ = True

    @abc.abstractmethod
    def speak(self) -> str:
        """Say something."""


class Dog(Speaker):
    __tablename__ = "dog"

    id = Column(Integer, primary_key=True)
    name = Column(String)

    def speak(self) -> str:
        """Say something."""
        return f"{self.name} barks"


class Strict(Base):
    """Refuses unknown attributes, and has a constructor with side effects."""

    __tablename__ = "strict"
    made: ClassVar[list[Any]] = []

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init__(self, name: str) -> None:
        self.name = name
        Strict.made.append(self)

    def __setattr__(self, name: str, value: object) -> None:
        if name not in {"id", "name", "_sa_instance_state"}:
            raise AttributeError(name)
        super().__setattr__(name, value)


class Slug(Base):
    """Its attributes have the names of a snapshot's methods and slots."""

    __tablename__ = "slug"

    id: Mapped[int] = mapped_column(primary_key=True)
    entity: Mapped[str]
    plan: Mapped[str]
    key: Mapped[str]
    items: Mapped[str]
    values: Mapped[str]
