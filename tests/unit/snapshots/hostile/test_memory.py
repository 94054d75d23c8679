"""Hostile data takes no more memory than a small multiple of its bytes."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select
from sqlalchemy.orm import load_only

from sqla_safe import (
    SnapshotLimitError,
    dumps,
    loads,
    snapshot,
)
from tests.unit.snapshots.hostile.support import (
    MEGABYTE,
    edited,
    numbers_in,
    refused,
)
from tests.unit.snapshots.models.gallery import Tag, User
from tests.unit.snapshots.models.trees import Node
from tests.unit.snapshots.models.values import Record, record

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


# --- containers that hold nothing -----------------------------------------------------------------

MANY = 50_000
SOME = 15_000  # where there are many kinds of them
OPEN = b"\xdd" + MANY.to_bytes(4, "big")  # an array of so many
START, END = b"\x95\x02\xc2\x90\x91\x95\xa0\xa0\x01", b"\xa0"  # a document with one group
EMPTIES = {
    "nested arrays": b"\x91" * MANY,
    "arrays": OPEN + b"\x90" * MANY,
    "maps": OPEN + b"\x80" * MANY,
    "documents": OPEN + b"\x95\x02\xc2\x90\x90\xa0" * MANY,
    "roots": b"\x95\x02\xc2" + OPEN + b"\x90" * MANY + b"\x90\xa0",
    "groups": b"\x95\x02\xc2\x90" + OPEN + b"\x95\xa0\xa0\x01\x90\x90" * MANY + END,
    "columns": START + OPEN + b"\x94\xa0\xa0\x90\xa0" * MANY + b"\x90" + END,
    "links": START + b"\x90" + OPEN + b"\x96\xa0\xa0\x90\x90\xc2\xa0" * MANY + END,
    "values": START + b"\x91\x94\xa0\xa0" + OPEN + b"\x90" * MANY + b"\xa0\x90" + END,
    "json arrays": b"[" + b"[]," * MANY,
    "nested json": b"[" * MANY,
    "json documents": b"[" + b'[2,false,[],[],""],' * MANY + b"0]",
    "json groups": b"[2,false,[],[" + b'["","",1,[],[]],' * MANY + b'["","",1,[],[]]],""]',
}


@pytest.mark.parametrize("junk", EMPTIES.values(), ids=list(EMPTIES))
def test_empty_containers_take_little_memory(junk):
    """Each is one byte to send, and 72 to have: the decoder knows where there may be some."""
    assert refused(junk)


VALUES = {
    "arrays": "[]",
    "objects": "{}",
    "arrays of one": "[0]",
    "objects of one": '{"":0}',
    "nested": "[[[[{}]]]]",
    "texts": '""',
    "numbers": "1000",
    "tuples": '["tuple",[]]',
    "sets": '["set",[]]',
    "sets of one": '["set",[1]]',
    "dicts": '["dict",[]]',
    "dicts of one": '["dict",[[1,1]]]',
    "networks": '["IPv4Network","1.1.1.1"]',
}


@pytest.mark.parametrize("value", VALUES.values(), ids=list(VALUES))
@pytest.mark.parametrize("kind", ["json", "tagged"])
@pytest.mark.parametrize("around", ["[[{}]]", '[["tuple",[{}]]]'], ids=["bare", "tagged"])
def test_small_values_take_little_memory(store, value, kind, around):
    """Many of them in a column of JSON; whether they are good is not the question."""
    text = around.replace("{}", ",".join([value] * SOME))

    def stuff(document):
        for column in document[3][0][3]:
            if column[0] == "document":
                column[1:] = [kind, [], text]

    shown = snapshot(store(record(document=[])).get_one(Record, 1))
    refused(edited(dumps(shown), stuff), Record)


# --- objects that hold nothing --------------------------------------------------------------------


def bare(shown, count, *links):
    """Make data of many objects of which only the key is there."""
    document = msgspec.msgpack.decode(dumps(shown))
    group = document[3][0]
    group[2] = count
    group[3] = [["id", "native", [1] * count, ""]]
    group[4] = list(links)
    return msgspec.msgpack.encode([document[0], False, [0], [group], ""])


@pytest.fixture
def node(store):
    """Give a node of a tree, which other nodes may hang on."""
    return snapshot(store(Node(id=1, name="root")).get_one(Node, 1))


@pytest.mark.parametrize("count", [1_000, 99_000])
def test_bare_objects_take_little_memory(node, count):
    """An object is a byte to send, and a hundred to have."""
    assert refused(bare(node, count), Node)


@pytest.mark.parametrize("kind", ["many", "set", "map"])
def test_collections_of_one_take_little_memory(node, kind):
    """Their members are a run, which takes no byte at all."""
    keys = f"[{','.join('1' * 5_000)}]"
    links = ["children", kind, [0], [1] * 5_000, True, keys]
    refused(bare(node, 5_000, links), Node)


@pytest.mark.parametrize("kind", ["many", "set", "map"])
def test_large_collections_take_little_memory(node, kind):
    """Each of a thousand holds them all, or one does in each of a thousand columns."""
    holding = [["children", kind, [0], [1_000, *[0] * 999], True, ""]] * 1_000
    assert refused(bare(node, 1_000, *holding), Node)
    assert refused(bare(node, 1_000, ["children", kind, [0], [1_000] * 1_000, True, ""]), Node)


def test_owners_take_little_memory(shown):
    """One of them is said to have a billion avatars."""
    document = msgspec.msgpack.decode(dumps(shown))
    for group in document[3]:
        for links in group[4]:
            if links[0] == "user":
                links[1:] = ["one", [0], [10**9], True, ""]
    assert refused(msgspec.msgpack.encode(document))


def test_bare_objects_of_ones_own_are_read(store):
    """What is honest comes back: `dumps` adds what is lacking."""
    session = store(*[Tag(id=number, name=str(number)) for number in range(1, 1_000)])
    tags = snapshot(session.scalars(select(Tag).options(load_only(Tag.id))).all())
    data = dumps(tags)
    assert loads(tuple[Tag, ...], data) == tags
    assert not refused(data, tuple[Tag, ...])


# --- values that grow -------------------------------------------------------------------------


SHORTEST = {
    "int": "1000",
    "float": "1",
    "bytes": "",
    "complex": "0 0",
    "Decimal": "1",
    "datetime": "20200101",
    "zoned": "20200101[UTC]",
    "date": "20200101",
    "time": "00",
    "timedelta": "0 0 0",
    "UUID": "0" * 32,
    "IPv4Address": "1.1.1.1",
    "IPv6Address": "::",
    "IPv4Network": "1.1.1.1",
    "IPv6Network": "::",
    "IPv4Interface": "1.1.1.1",
    "IPv6Interface": "::",
}


@pytest.mark.parametrize(("kind", "text"), SHORTEST.items(), ids=list(SHORTEST))
@pytest.mark.parametrize("count", [10_000, 10_001], ids=["fitting", "one too many"])
def test_the_shortest_values_take_little_memory(node, kind, text, count):
    """A network of two letters becomes an object of 900 bytes."""
    document = msgspec.msgpack.decode(bare(node, 10_000))
    document[3][0][3].append(["name", kind, [text] * count, ""])
    refused(msgspec.msgpack.encode(document), Node)


@pytest.mark.parametrize("kind", SHORTEST)
def test_numbers_are_no_values_of_a_kind(node, kind):
    """A network can be made of one, which is one byte."""
    document = msgspec.msgpack.decode(bare(node, 1))
    document[3][0][3].append(["name", kind, [0], ""])
    assert refused(msgspec.msgpack.encode(document), Node)


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
