"""Data of another entity, or of an older or newer release."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    mapped_column,
    relationship,
)

from sqla_safe import (
    SnapshotDecodeError,
    SnapshotSourceError,
    SnapshotVersionError,
    SqlaSafeError,
    dumps,
    loads,
    snapshot,
)
from tests.unit.snapshots.hostile.support import (
    edited,
    numbers_in,
    refused,
)
from tests.unit.snapshots.models.family import Company, Employee, Manager, company
from tests.unit.snapshots.models.gallery import Avatar, Photo, Tag, Team, User
from tests.unit.snapshots.models.trees import Node


@pytest.mark.parametrize(
    "entity", [Avatar, Photo, Team, Tag, Node, Company], ids=lambda e: e.__name__
)
def test_another_entity_is_refused(data, entity):
    """Related or not: it is not what was asked for."""
    with pytest.raises(SnapshotDecodeError, match=entity.__name__):
        loads(entity, data)


def test_a_base_class_row_is_no_subclass_row(store):
    """An employee is no manager."""
    data = dumps(snapshot(store(company()).get_one(Employee, 1)))
    with pytest.raises(SnapshotDecodeError, match="Manager"):
        loads(Manager, data)


def test_several_are_not_one(shown):
    """The error says what to ask for."""
    with pytest.raises(SnapshotDecodeError) as caught:
        loads(User, dumps((shown, shown)))
    assert str(caught.value) == (
        "This is no snapshot of User: it holds several. "
        "Instead: loads(tuple[User, ...], data) [SQS181]"
    )


def test_a_reference_to_another_class_is_refused(shown):
    """A tag where an avatar should be."""
    document = msgspec.msgpack.decode(dumps(shown))
    for holder, place in numbers_in(document):
        before = holder[place]
        for other in range(12):
            holder[place] = other
            try:
                back = loads(User, msgspec.msgpack.encode(document))
            except SqlaSafeError:
                continue
            assert all(isinstance(avatar, Avatar) for avatar in back.avatars)
            assert all(isinstance(tag, Tag) for tag in back.tags)
            assert back.team is None or isinstance(back.team, Team)
        holder[place] = before


def test_a_class_by_name_is_not_imported(shown):
    """Only mapped classes that relationships lead to are looked for."""
    name = b"tests.unit.snapshots.models.gallery.Tag"
    other = b"tests.unit.snapshots.test_hostile_dat.B"
    assert len(name) == len(other)
    hostile = dumps(shown).replace(name, other)
    assert hostile != dumps(shown)
    assert refused(hostile)


def test_a_class_that_is_no_entity_is_refused(data):
    """Before anything is read."""
    with pytest.raises(SnapshotSourceError, match="dict is not a mapped class"):
        loads(dict, data)


def test_no_error_shows_the_data(shown):
    """It may hold secrets."""
    with pytest.raises(SnapshotDecodeError) as caught:
        loads(User, dumps(shown).replace(b"Lisa", b"\xff\xff\xff\xff"))
    assert "hunter2" not in f"{caught.value!r} {caught.value.__cause__!r}"


def mapped(**columns):
    """Map a class `Thing` with some columns, as an older or newer release would."""

    class Base(DeclarativeBase):
        pass

    body = {
        "__module__": __name__,
        "__qualname__": "Thing",
        "__tablename__": "thing",
        "__annotations__": {
            "id": Mapped[int],
            **{name: Mapped[kind] for name, kind in columns.items()},
        },
        "id": mapped_column(primary_key=True),
    }
    return type("Thing", (Base,), body)


@pytest.fixture
def thing(store):
    """Give the data of a thing with a name."""
    entity = mapped(name=str)
    return dumps(snapshot(store(entity(id=1, name="a")).get_one(entity, 1)))


def test_the_same_mapping_is_understood(thing):
    """A restart of the program changes nothing."""
    assert loads(mapped(name=str), thing).name == "a"


@pytest.mark.parametrize(
    "columns",
    [{"name": str, "more": int}, {}, {"title": str}, {"name": int}],
    ids=["added", "removed", "renamed", "retyped"],
)
def test_another_mapping_is_another_version(thing, columns):
    """Old data is recognised, not half understood."""
    with pytest.raises(SnapshotVersionError, match="Thing was mapped differently"):
        loads(mapped(**columns), thing)


def test_another_version_is_a_decode_error(thing):
    """A cache catches one class and loads the entity."""
    with pytest.raises(SnapshotDecodeError, match="treat it as missing"):
        loads(mapped(), thing)


def test_a_longer_text_column_is_the_same_version(store):
    """The values are the same."""

    def build(length):
        body = {
            "__module__": __name__,
            "__qualname__": "Short",
            "__tablename__": f"short{length}",
            "__annotations__": {"id": Mapped[int], "name": Mapped[str]},
            "id": mapped_column(primary_key=True),
            "name": mapped_column(String(length)),
        }
        return type("Short", (type("B", (DeclarativeBase,), {}),), body)

    short, longer = build(5), build(50)
    data = dumps(snapshot(store(short(id=1, name="a")).get_one(short, 1)))
    assert loads(longer, data).name == "a"


def test_another_format_version_is_refused(shown):
    """Data of a later release of the library."""

    def later(document):
        document[0] = 99

    with pytest.raises(SnapshotVersionError, match="another format"):
        loads(User, edited(dumps(shown), later))


@pytest.mark.parametrize("given", [None, "text", 5, []], ids=repr)
def test_what_is_no_bytes_is_refused(given):
    """A cache miss, for example."""
    with pytest.raises(SqlaSafeError):
        loads(User, given)


@pytest.mark.parametrize("wanted", [None, "User", 5, [User], list[User], tuple[5]], ids=repr)
def test_what_is_no_class_is_refused(wanted):
    """Before the data is looked at."""
    with pytest.raises(SnapshotSourceError):
        loads(wanted, b"")


def test_memory_with_gaps_is_refused(shown):
    """Every other byte is no data."""
    with pytest.raises(SnapshotDecodeError):
        loads(User, memoryview(dumps(shown))[::2])


def test_memory_with_gaps_is_read(shown):
    """When the bytes between them are left out."""
    data = dumps(shown)
    spread = bytes(byte for one in data for byte in (one, 0))
    assert loads(User, memoryview(spread)[::2]) == shown


@pytest.mark.parametrize("kind", [set, attribute_keyed_dict("id")], ids=["set", "dict"])
def test_another_collection_class_is_another_version(store, kind):
    """What was a tuple would be a set."""

    def build(collection):
        class Base(DeclarativeBase):
            pass

        class Child(Base):
            __tablename__ = "child"
            __qualname__ = "Child"
            id: Mapped[int] = mapped_column(primary_key=True)
            owner_id: Mapped[int] = mapped_column(ForeignKey("owner.id"))

        class Owner(Base):
            __tablename__ = "owner"
            __qualname__ = "Owner"
            id: Mapped[int] = mapped_column(primary_key=True)
            children = relationship(Child, collection_class=collection)

        return Owner, Child

    owner, child = build(list)
    session = store(owner(id=1, children=[child(id=1)]))
    data = dumps(snapshot(session.get_one(owner, 1), owner.children))
    with pytest.raises(SnapshotVersionError, match="Owner"):
        loads(build(kind)[0], data)
