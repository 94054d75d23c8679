"""A small shop with columns and relationships of all kinds."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Numeric,
    String,
    Table,
    Text,
    TypeDecorator,
    func,
    select,
)
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    DynamicMapped,
    Mapped,
    attribute_keyed_dict,
    column_property,
    composite,
    mapped_column,
    relationship,
    synonym,
)

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


class Base(DeclarativeBase):
    pass


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Reversed(TypeDecorator[str]):
    """Stores texts backwards."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return value if value is None else value[::-1]

    def process_result_value(self, value: Any, dialect: Any) -> str | None:
        return value if value is None else value[::-1]


@dataclass(frozen=True)
class Point:
    x: int
    y: int


tagged = Table(
    "tagged",
    Base.metadata,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("tag_id", ForeignKey("tags.id"), primary_key=True),
    Column("place", Numeric(4, 0), nullable=False, default=0),
)


class City(Base):
    __tablename__ = "cities"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    country_id: Mapped[int | None] = mapped_column(ForeignKey("countries.id"))
    country: Mapped[Country | None] = relationship()


class Country(Base):
    __tablename__ = "countries"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Tenanted:
    tenant: Mapped[int] = mapped_column(default=1)


class User(Tenanted, Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    secret: Mapped[str | None] = mapped_column(Reversed(50))
    balance: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=Decimal("1.50"))
    level: Mapped[Level] = mapped_column(Enum(Level), default=Level.LOW)
    by_value: Mapped[Level | None] = mapped_column(
        Enum(Level, values_callable=lambda kind: [one.value for one in kind], name="by_value")
    )
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    token: Mapped[uuid.UUID] = mapped_column(default=uuid.uuid4)
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True), default=NOON)
    x: Mapped[int] = mapped_column(default=1)
    y: Mapped[int] = mapped_column(default=2)
    city_id: Mapped[int | None] = mapped_column(ForeignKey(City.id))
    boss_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    point: Mapped[Point] = composite("x", "y")
    title: Mapped[str] = synonym("name")
    city: Mapped[City | None] = relationship()
    boss: Mapped[User | None] = relationship(remote_side="User.id", back_populates="staff")
    staff: Mapped[list[User]] = relationship(back_populates="boss", order_by="User.id")
    posts: Mapped[list[Post]] = relationship(back_populates="author", order_by="Post.id")
    loud_posts: Mapped[list[Post]] = relationship(
        primaryjoin="and_(User.id == Post.author_id, Post.is_loud)",
        order_by="Post.id.desc()",
        viewonly=True,
    )
    tags: Mapped[list[Tag]] = relationship(secondary=tagged, order_by="tagged.c.place")
    tag_names: AssociationProxy[list[str]] = association_proxy("tags", "name")
    city_name: AssociationProxy[str | None] = association_proxy("city", "name")
    profile: Mapped[Profile | None] = relationship(back_populates="user")
    marks: Mapped[set[Mark]] = relationship()
    notes: Mapped[dict[str, Note]] = relationship(collection_class=attribute_keyed_dict("key"))
    visits: DynamicMapped[Visit] = relationship()

    @hybrid_property
    def shout(self) -> str:
        return self.name.upper()

    @shout.inplace.expression
    @classmethod
    def _shout(cls) -> Any:
        return func.upper(cls.name)

    @property
    def plain(self) -> str:
        return self.name


class Post(Tenanted, Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    text: Mapped[str] = mapped_column(Text)
    is_loud: Mapped[bool] = mapped_column(default=False)
    author: Mapped[User] = relationship(back_populates="posts")
    comments: Mapped[list[Comment]] = relationship(order_by="Comment.id")


class Comment(Base):
    __tablename__ = "comments"
    id: Mapped[int] = mapped_column(primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey(Post.id))
    text: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey(User.id))
    author: Mapped[User | None] = relationship()


User.post_count = column_property(  # type: ignore[attr-defined]
    select(func.count(Post.id))
    .where(Post.author_id == User.id)
    .correlate_except(Post)
    .scalar_subquery()
)


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Profile(Base):
    __tablename__ = "profiles"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), unique=True)
    bio: Mapped[str]
    user: Mapped[User] = relationship(back_populates="profile")


class Mark(Base):
    __tablename__ = "marks"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    name: Mapped[str]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    key: Mapped[str]
    text: Mapped[str]


class Visit(Base):
    __tablename__ = "visits"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))


class Node(Base):
    __tablename__ = "nodes"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
    parent: Mapped[Node | None] = relationship(remote_side="Node.id", back_populates="children")
    children: Mapped[list[Node]] = relationship(back_populates="parent", order_by="Node.id")


class Order(Base):
    """Has a key of two columns."""

    __tablename__ = "orders"
    shop: Mapped[str] = mapped_column(String(20), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list[Line]] = relationship(order_by="Line.id")


class Line(Base):
    __tablename__ = "lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    shop: Mapped[str] = mapped_column(String(20))
    number: Mapped[int]
    what: Mapped[str]
    __table_args__ = (ForeignKeyConstraint(["shop", "number"], ["orders.shop", "orders.number"]),)


class Company(Base):
    __tablename__ = "companies"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    staff: Mapped[list[Person]] = relationship(back_populates="company", order_by="Person.id")
    engineers: Mapped[list[Engineer]] = relationship(viewonly=True, order_by="Engineer.id")


class Person(Base):
    """The base of a single table (Manager) and of tables of their own (Engineer)."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    name: Mapped[str]
    company_id: Mapped[int | None] = mapped_column(ForeignKey(Company.id))
    company: Mapped[Company | None] = relationship(back_populates="staff")
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012


class Manager(Person):
    budget: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "manager"}  # noqa: RUF012


class Engineer(Person):
    __tablename__ = "engineers"
    id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
    language: Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "engineer"}  # noqa: RUF012
