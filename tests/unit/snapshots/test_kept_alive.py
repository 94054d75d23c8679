"""Entities that only the walk still holds."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from sqlalchemy import ForeignKey, PickleType
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from sqla_safe import snapshot


class Base(DeclarativeBase):
    """The tables of the chain."""


class Watcher:
    """A value that looks, when it is copied, who is still there."""

    watched: weakref.ref[Any] | None = None
    was_there = False

    def __deepcopy__(self, _: object) -> Watcher:
        gc.collect()
        type(self).was_there = self.watched is not None and self.watched() is not None
        return self


class Last(Base):
    __tablename__ = "last"

    id: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[Watcher] = mapped_column(PickleType)


class Middle(Base):
    __tablename__ = "middle"

    id: Mapped[int] = mapped_column(primary_key=True)
    last_id: Mapped[int] = mapped_column(ForeignKey("last.id"))
    last: Mapped[Last] = relationship()


class First(Base):
    __tablename__ = "first"

    id: Mapped[int] = mapped_column(primary_key=True)
    middle_id: Mapped[int] = mapped_column(ForeignKey("middle.id"))
    middle: Mapped[Middle] = relationship()


@pytest.fixture
def no_collector():
    """Keep garbage until somebody collects it."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_an_entity_stays_until_the_walk_has_ended(store):
    """Another one could get its address, and would then be taken for it."""
    made = First(id=1, middle=Middle(id=1, last=Last(id=1, value=Watcher())))
    session = store(made)
    middle = session.get_one(Middle, 1)
    assert middle.last.id == 1
    Watcher.watched = weakref.ref(middle)
    first = session.get_one(First, 1)
    del made
    circle = [middle]
    circle.append(circle)
    del middle, circle  # garbage now, which the identity map still finds
    assert snapshot(first).middle.last.id == 1
    assert Watcher.was_there
