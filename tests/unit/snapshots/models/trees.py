"""Classes that refer to themselves."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Table, insert
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of trees and friends."""


class Node(Base):
    __tablename__ = "node"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("node.id"))
    parent: Mapped[Node | None] = relationship(back_populates="children", remote_side="Node.id")
    children: Mapped[list[Node]] = relationship(back_populates="parent", order_by="Node.id")


friendship = Table(
    "friendship",
    Base.metadata,
    Column("friend_id", ForeignKey("friend.id"), primary_key=True),
    Column("of_id", ForeignKey("friend.id"), primary_key=True),
)


class Friend(Base):
    __tablename__ = "friend"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    friends: Mapped[list[Friend]] = relationship(
        secondary=friendship,
        primaryjoin="Friend.id == friendship.c.friend_id",
        secondaryjoin="Friend.id == friendship.c.of_id",
    )


def chain(length: int) -> Node:
    """Make a tree without branches and return its root."""
    root = node = Node(id=1, name="node 1")
    for number in range(2, length + 1):
        child = Node(id=number, name=f"node {number}")
        node.children = [child]
        node = child
    return root


def add_deep_chain(session: Session, length: int) -> None:
    """Add a chain below node 1 by plain inserts; a unit of work would sort for seconds."""
    rows = [
        {"id": number, "name": f"node {number}", "parent_id": number - 1}
        for number in range(2, length + 1)
    ]
    session.execute(insert(Node), rows)
