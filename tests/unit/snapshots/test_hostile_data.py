"""`loads` trusts nothing: one clear error, no code, and no more memory than the data has bytes."""

from __future__ import annotations

import json
import pickle
import random
import traceback
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
    SnapshotLimitError,
    SnapshotSourceError,
    SnapshotVersionError,
    SqlaSafeError,
    dumps,
    is_snapshot,
    loads,
    replace,
    snapshot,
)
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.family import Company, Employee, Manager, company
from tests.unit.snapshots.models.gallery import Avatar, Photo, Tag, Team, User, lisa
from tests.unit.snapshots.models.trees import Node
from tests.unit.snapshots.models.values import Record, record

MEGABYTE = 2**20
fuzz = settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


@pytest.fixture
def shown(store):
    """Give a snapshot with cycles."""
    return snapshot(
        store(lisa()).get_one(User, 1), User.avatars, Avatar.photos, User.team, User.tags
    )


@pytest.fixture(params=["msgpack", "json"])
def data(shown, request):
    """Give its data, in both formats."""
    return dumps(shown, format=request.param)


def refused(data, entity=User, **options):
    """Make sure that the data is refused cleanly, or is a good snapshot, within bounds."""
    tracemalloc.start()
    try:
        back = loads(entity, data, **options)
    except SnapshotDecodeError as error:
        assert "This is no snapshot of" in str(error)  # noqa: PT017 - only if it is raised
        return True
    except SnapshotLimitError:
        return True
    else:
        assert is_snapshot(back)
        return False
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < MEGABYTE + 200 * len(data)


def edited(data, change):
    """Decode msgpack data, change it and encode it again."""
    document = msgspec.msgpack.decode(data)
    change(document)
    return msgspec.msgpack.encode(document)


# --- damaged ----------------------------------------------------------------------------------


def test_every_truncation_is_refused(data):
    """After each byte."""
    assert all(refused(data[:size]) for size in range(len(data)))


def test_trailing_bytes_are_refused(data):
    """The data ends where it ends."""
    assert refused(data + b"\x00")


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x00", b"\xc1", b"\xff" * 99, b"{}", b"[]", b"null", b"[" * 100_000, b"\x91" * 100_000],
    ids=["empty", "zero", "unused", "ones", "object", "array", "null", "deep json", "deep msgpack"],
)
def test_junk_is_refused(junk):
    """Whatever it looks like."""
    assert refused(junk)


def test_a_pickle_is_refused(shown):
    """And not run."""
    assert refused(pickle.dumps(shown))


class Bomb:
    """Would raise when it is unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit",)


def test_a_malicious_pickle_is_refused():
    """No code in it is run."""
    assert refused(pickle.dumps(Bomb()))


@fuzz
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data):
    """One error, whatever the bytes."""
    assert refused(data)


@fuzz
@given(seed=st.integers(0, 2**32))
def test_flipped_bytes_are_refused_or_harmless(data, seed):
    """Some change only a value."""
    flips = random.Random(seed)
    hostile = bytearray(data)
    for _ in range(flips.randint(1, 4)):
        hostile[flips.randrange(len(hostile))] = flips.randrange(256)
    refused(bytes(hostile))


@fuzz
@given(seed=st.integers(0, 2**32))
def test_moved_parts_are_refused_or_harmless(data, seed):
    """Pieces of good data in the wrong places."""
    cuts = random.Random(seed)
    one, two = sorted((cuts.randrange(len(data)), cuts.randrange(len(data))))
    refused(data[:one] + data[two:])
    refused(data[:one] + data[one:two] * 2 + data[two:])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=3), children)
    ),
    max_leaves=20,
)


@fuzz
@given(JSON)
def test_well_formed_documents_of_other_programs_are_refused(document):
    """Right syntax, wrong content."""
    assert refused(json.dumps(document).encode())


@fuzz
@given(data=st.data())
def test_a_document_with_one_wrong_part_is_refused_or_harmless(shown, data):
    """Any node of the tree is replaced by anything."""
    document = msgspec.msgpack.decode(dumps(shown))
    places = [(document, number) for number in range(len(document))]
    for holder, place in places:
        if isinstance(holder[place], list):
            places += [(holder[place], number) for number in range(len(holder[place]))]
    holder, place = data.draw(st.sampled_from(range(len(places))).map(places.__getitem__))
    wrong = data.draw(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5)
        | st.lists(st.integers(-5, 50), max_size=5)
        | st.dictionaries(st.text(max_size=3), st.integers(-9, 9))
    )
    holder[place] = wrong
    refused(msgspec.msgpack.encode(document))


# --- declared lengths -------------------------------------------------------------------------

HUGE = 100 * MEGABYTE
LENGTHS = {
    "array": b"\xdd" + HUGE.to_bytes(4, "big"),
    "map": b"\xdf" + HUGE.to_bytes(4, "big"),
    "string": b"\xdb" + HUGE.to_bytes(4, "big"),
    "bytes": b"\xc6" + HUGE.to_bytes(4, "big"),
    "extension": b"\xc9" + HUGE.to_bytes(4, "big") + b"\x01",
    "in an array": b"\x94\x01\xc2\xdd" + HUGE.to_bytes(4, "big"),
    "largest": b"\xdd\xff\xff\xff\xff",
}


@pytest.mark.parametrize("junk", LENGTHS.values(), ids=list(LENGTHS))
def test_a_declared_length_takes_no_memory(junk):
    """A hundred megabytes that are not there."""
    assert refused(junk + b"\x00" * 50)


def numbers_in(document):
    """Give the places of all numbers in a document."""
    places = [(document, number) for number in range(len(document))]
    for holder, place in places:
        if isinstance(holder[place], list):
            places += [(holder[place], number) for number in range(len(holder[place]))]
    return [(h, p) for h, p in places if type(h[p]) is int]


@pytest.mark.parametrize("huge", [HUGE, 2**62, -1, -HUGE], ids=str)
def test_no_number_in_the_data_takes_memory(shown, huge):
    """Counts, sizes and references, one after the other."""
    good = dumps(shown)
    for number in range(len(numbers_in(msgspec.msgpack.decode(good)))):
        document = msgspec.msgpack.decode(good)
        holder, place = numbers_in(document)[number]
        holder[place] = huge
        refused(msgspec.msgpack.encode(document))


def test_a_repeated_group_is_no_amplification(shown):
    """Ten thousand times the same empty part."""
    document = msgspec.msgpack.decode(dumps(shown))
    groups = next(part for part in document if isinstance(part, list) and len(part) > 1)
    groups += [groups[-1]] * 10_000
    refused(msgspec.msgpack.encode(document))


def test_a_decimal_bomb_takes_no_memory(store):
    """An exponent is not expanded."""
    shown = snapshot(store(record(amount=None)).get_one(Record, 1))
    assert not refused(dumps(shown), Record)


def test_a_huge_integer_takes_no_time(store):
    """Python's own limit of digits is the limit."""
    shown = snapshot(store(record(document=1)).get_one(Record, 1))
    hostile = dumps(shown, format="json").replace(b"[1]", b"[" + b"9" * 100_000 + b"]")
    refused(hostile, Record)


def test_more_objects_than_allowed(shown):
    """The cap of `snapshot` is the cap of `loads`."""
    with pytest.raises(SnapshotLimitError, match="max_objects"):
        loads(User, dumps(shown), max_objects=3)


# --- other entities ---------------------------------------------------------------------------


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
    with pytest.raises(SnapshotDecodeError, match=r"loads\(tuple\[User, \.\.\.\], data\)"):
        loads(User, dumps((shown, shown)))


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


# --- other versions ---------------------------------------------------------------------------


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


# --- values that collide ----------------------------------------------------------------------


def test_many_members_of_a_set_with_one_key_are_refused(store):
    """Each would be compared with each."""
    base = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    one = next(iter(base.chosen))
    hostile = dumps(replace(base, chosen={replace(one, name=str(n)) for n in range(100)}))
    with pytest.raises(SnapshotDecodeError):
        loads(Box, hostile)


COLLIDING = [number * (2**61 - 1) for number in range(1, 101)]


@pytest.mark.parametrize(
    "value", [frozenset(COLLIDING), dict.fromkeys(COLLIDING)], ids=["set", "dict"]
)
@pytest.mark.parametrize("form", ["msgpack", "json"])
def test_many_values_with_one_hash_are_refused(store, value, form):
    """A set of them takes quadratic time."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=value)
    hostile = dumps(shown, format=form)
    with pytest.raises(SnapshotDecodeError):
        loads(Record, hostile)


# --- texts of errors --------------------------------------------------------------------------


KINDS = [
    "int",
    "float",
    "complex",
    "date",
    "datetime",
    "time",
    "timedelta",
    "Decimal",
    "UUID",
    "IPv4Address",
    "bytes",
    "enum",
    "flag",
    "one",
    "many",
    "set",
    "dict",
    "unknown",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_kind_shows_no_value(store, kind):
    """Python's own errors would: no part of the traceback is to have them."""
    canary = "canary-4711"
    made = lisa()
    made.name = canary

    def wrong(document):
        for group in document[3]:
            group[4] = [
                kind if name == "name" else old for name, old in zip(*group[3:5], strict=True)
            ]

    hostile = edited(dumps(snapshot(store(made).get_one(User, 1))), wrong)
    with pytest.raises(SqlaSafeError) as caught:
        loads(User, hostile)
    assert canary not in "".join(traceback.format_exception(caught.value))
