"""Classes that are mapped, or mapped further, after the first snapshot was made."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, Table
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    registry,
    relationship,
)
from sqlalchemy.schema import ForeignKey

from sqla_safe import dumps, loads, replace, snapshot, write_back
from tests.unit.snapshots.models.gallery import Avatar, User, lisa
from tests.unit.snapshots.support import pickled


def map_another_class():
    """Map a class that has nothing to do with the others, as a lazy import does."""

    class Base(DeclarativeBase):
        pass

    class Late(Base):
        __tablename__ = "late"
        id: Mapped[int] = mapped_column(primary_key=True)

    return Late


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


@pytest.fixture
def old_and_new(session):
    """Give two snapshots of her; another class was mapped between them."""
    user = session.get_one(User, 1)
    old = snapshot(user, User.avatars)
    map_another_class()
    return old, snapshot(user, User.avatars)


def stored_name(session):
    """Read the name in the row."""
    with Session(session.connection()) as reader:
        return reader.get_one(User, 1).name


# --- another class ----------------------------------------------------------------------------


def test_snapshots_from_before_and_after_are_equal(old_and_new):
    """In both directions."""
    old, new = old_and_new
    assert old == new
    assert new == old


def test_snapshots_from_before_and_after_have_equal_hashes(old_and_new):
    """A dict finds one by the other."""
    assert len(set(old_and_new)) == 1


def test_a_change_on_the_new_snapshot_is_written_over_the_old_one(session, old_and_new):
    """They are of one row."""
    old, new = old_and_new
    write_back(session, replace(new, name="Nona"), base=old)
    assert stored_name(session) == "Nona"


def test_a_change_on_the_old_snapshot_is_written_over_the_new_one(session, old_and_new):
    """A snapshot from a cache goes on being one."""
    old, new = old_and_new
    write_back(session, replace(old, name="Nona"), base=new)
    assert stored_name(session) == "Nona"


def test_a_new_snapshot_takes_old_ones_as_its_relatives(old_and_new):
    """They are of the class that it wants."""
    old, new = old_and_new
    assert replace(new, avatars=old.avatars) == new


def test_snapshots_from_before_and_after_are_dumped_together(old_and_new):
    """And come back equal."""
    assert loads(tuple[User, ...], dumps(old_and_new)) == old_and_new


def test_an_old_snapshot_can_be_pickled(old_and_new):
    """It comes back as one of the class as it is now."""
    old, new = old_and_new
    assert pickled(old) == new


def test_an_old_snapshot_is_as_frozen(old_and_new):
    """What it leads to is found."""
    old, _ = old_and_new
    assert old.avatars[0].user is old


def test_old_data_is_loaded(session):
    """The class itself is mapped as it was."""
    shown = snapshot(session.get_one(User, 1), User.avatars, Avatar.photos)
    data = dumps(shown)
    map_another_class()
    assert loads(User, data) == shown


# --- the class itself -------------------------------------------------------------------------


def test_a_backref_that_came_later_is_captured(store):
    """The snapshot knows what the entity knows."""

    class Base(DeclarativeBase):
        pass

    class Owner(Base):
        __tablename__ = "owner"
        id: Mapped[int] = mapped_column(primary_key=True)

    snapshot(store(Owner(id=1)).get_one(Owner, 1))

    class Pet(Base):
        __tablename__ = "pet"
        id: Mapped[int] = mapped_column(primary_key=True)
        owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))
        owner = relationship(Owner, backref="pets")

    session = store(Owner(id=1), Pet(id=7, owner_id=1))
    [pet] = snapshot(session.get_one(Owner, 1), Owner.pets).pets
    assert pet.id == 7


def test_a_column_that_came_later_is_captured(store):
    """It is mapped from then on."""

    class Base(DeclarativeBase):
        pass

    class Owner(Base):
        __tablename__ = "owner"
        id: Mapped[int] = mapped_column(primary_key=True)

    snapshot(store(Owner(id=1)).get_one(Owner, 1))
    Owner.age = mapped_column(Integer)
    shown = snapshot(store(Owner(id=1, age=5)).get_one(Owner, 1))
    assert loads(Owner, dumps(shown)).age == 5


def test_a_class_that_was_mapped_again_is_captured_anew(store):
    """After its registry was disposed of."""

    class Thing:
        def __init__(self, **columns):
            for name, value in columns.items():
                setattr(self, name, value)

    for names in (["id", "one"], ["id", "two"]):
        mapping = registry()
        columns = [Column(name, Integer, primary_key=name == "id") for name in names]
        mapping.map_imperatively(Thing, Table("thing", mapping.metadata, *columns))
        shown = snapshot(store(Thing(**dict.fromkeys(names, 5))).get_one(Thing, 5))
        mapping.dispose()
    assert shown.two == 5


def test_a_subclass_that_came_later_is_loaded_as_its_base(store):
    """Whether or not the base class was loaded before."""

    class Base(DeclarativeBase):
        pass

    class Animal(Base):
        __tablename__ = "animal"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]

    loads(Animal, dumps(snapshot(store(Animal(id=1)).get_one(Animal, 1))))

    class Cat(Animal):
        __mapper_args__ = {"polymorphic_identity": "cat"}  # noqa: RUF012

    shown = snapshot(store(Cat(id=1)).get_one(Animal, 1))
    assert isinstance(loads(Animal, dumps(shown)), Cat)
