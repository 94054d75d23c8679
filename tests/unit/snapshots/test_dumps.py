"""`dumps` and `loads`: the snapshot as bytes that hold data only."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import json
import math
import subprocess
import sys
import uuid
import zoneinfo
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from sqla_safe import (
    FrozenSnapshotError,
    NotLoadedError,
    SnapshotEncodeError,
    SnapshotSourceError,
    dumps,
    is_snapshot,
    loads,
    replace,
    snapshot,
)
from tests.unit.snapshots.models.boxes import Box, Choice, full_box
from tests.unit.snapshots.models.classes import Card, Comment, Plain
from tests.unit.snapshots.models.computed import Account, Drawing, Entry, drawing
from tests.unit.snapshots.models.family import Car, Company, Employee, Manager, Vehicle, company
from tests.unit.snapshots.models.gallery import Avatar, Tag, User, lisa, many
from tests.unit.snapshots.models.keys import Seat, Ticket
from tests.unit.snapshots.models.trees import Node, add_deep_chain, chain
from tests.unit.snapshots.models.values import (
    Access,
    Grant,
    Level,
    Opaque,
    Record,
    record,
)

ROOT = Path(__file__).parents[3]
FORMATS = ["msgpack", "json"]
every_format = pytest.mark.parametrize("form", FORMATS)


def over(entity, snap, form="msgpack"):
    """Give what comes back."""
    return loads(entity, dumps(snap, format=form))


@pytest.fixture
def shown(store):
    """Give a snapshot with cycles."""
    paths = User.avatars, Avatar.photos, User.team, User.tags, Tag.users
    return snapshot(store(lisa()).get_one(User, 1), *paths)


@every_format
def test_a_round_trip_is_equal(shown, form):
    """In both formats."""
    assert over(User, shown, form) == shown


def test_the_default_is_msgpack(shown):
    """It is the smaller one."""
    assert dumps(shown) == dumps(shown, format="msgpack")
    assert len(dumps(shown)) < len(dumps(shown, format="json"))


def test_json_is_json(shown):
    """Other tools can at least read it."""
    assert json.loads(dumps(shown, format="json"))


@every_format
def test_the_data_is_bytes(shown, form):
    """For both formats."""
    assert type(dumps(shown, format=form)) is bytes


@every_format
def test_what_comes_back_is_a_frozen_snapshot(shown, form):
    """Of the same class."""
    back = over(User, shown, form)
    assert is_snapshot(back)
    assert type(back) is type(shown)
    with pytest.raises(FrozenSnapshotError):
        back.name = "Nona"
    with pytest.raises(FrozenSnapshotError):
        back.settings["theme"] = "light"


@every_format
def test_identity_and_cycles_are_kept(shown, form):
    """One object, one object."""
    back = over(User, shown, form)
    assert back.avatars[0].user is back
    assert back.tags[0].users[0] is back


def test_a_shared_object_is_written_once(store):
    """Two users with one team."""
    shown = snapshot(store(*many(2)).scalars(select(User)).all(), User.team)
    data = dumps(shown)
    assert data.count(b"Louvre") == 1
    one, two = loads(tuple[User, ...], data)
    assert one.team is two.team


@every_format
def test_what_is_missing_is_missing(shown, form):
    """Not None."""
    with pytest.raises(NotLoadedError, match=r"User\.bio"):
        _ = over(User, shown, form).bio


def test_the_same_snapshot_gives_the_same_data(store):
    """For caches that compare."""
    one, two = [snapshot(store(lisa()).get_one(User, 1), User.avatars) for _ in range(2)]
    assert dumps(one) == dumps(two)


@every_format
def test_several_snapshots(store, form):
    """A tuple of them, in its order."""
    shown = snapshot(store(*many(3)).scalars(select(User).order_by(User.id.desc())).all())
    assert loads(tuple[User, ...], dumps(shown, format=form)) == shown


def test_a_list_of_snapshots(store):
    """Any iterable, it comes back as a tuple."""
    shown = snapshot(store(*many(3)).scalars(select(User)).all())
    assert loads(tuple[User, ...], dumps(list(shown))) == shown


def test_no_snapshots():
    """An empty tuple."""
    assert loads(tuple[User, ...], dumps(())) == ()


def test_an_entity_is_refused(store):
    """Freeze it first."""
    with pytest.raises(SnapshotSourceError, match=r"dumps\(\) was given .*User"):
        dumps(store(lisa()).get_one(User, 1))


def test_a_list_with_an_entity_in_it_is_refused(store):
    """Each item is looked at."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotSourceError):
        dumps([snapshot(user), user])


def test_no_column_names_of_the_database_are_in_it(store):
    """Attribute names are, since they are the mapping's."""
    session = store(Account(id=1, first="a", last="b", nick="c"))
    shown = snapshot(session.get_one(Account, 1))
    assert over(Account, shown).nick == "c"


# --- graphs -----------------------------------------------------------------------------------


@every_format
def test_polymorphic_snapshots_keep_their_classes(store, form):
    """And their columns."""
    shown = snapshot(store(company()).get_one(Company, 1), Company.staff, Manager.reports)
    back = over(Company, shown, form)
    assert back == shown
    assert [type(one) for one in back.staff] == [type(one) for one in shown.staff]


def test_a_subclass_can_be_asked_for_by_its_base(store):
    """`loads(Employee, ...)` gives the manager."""
    shown = snapshot(store(company()).get_one(Manager, 2))
    back = loads(Employee, dumps(shown))
    assert isinstance(back, Manager)
    assert back == shown


def test_single_table_rows_keep_their_classes(store):
    """As joined ones do."""
    shown = snapshot(store(Car(id=1, seats=4)).get_one(Vehicle, 1))
    assert over(Vehicle, shown) == shown


@every_format
def test_collections_of_every_kind(store, form):
    """Lists, sets, dicts with keys of all sorts, and custom ones."""
    paths = Box.listed, Box.chosen, Box.notes, Box.by_size, Box.slides, Box.bag, Box.queue
    shown = snapshot(store(full_box()).get_one(Box, 1), *paths)
    back = over(Box, shown, form)
    assert back == shown
    assert back.by_size[3, 4].width == 3
    assert back.note_texts == {"a": "alpha", "b": "beta"}


def test_a_member_of_a_set_is_found_in_it(store):
    """Hashes are those of the complete objects."""
    shown = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    choice = loads(Choice, dumps(next(iter(shown.chosen))))
    assert choice in choice.box.chosen


@every_format
def test_composites(store, form):
    """By their columns."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    back = over(Drawing, shown, form)
    assert (back.point, back.price, back.span) == (shown.point, shown.price, shown.span)


@every_format
def test_column_properties_synonyms_and_hybrids(store, form):
    """What was captured, and what is computed from it."""
    account = Account(id=1, first="a", last="b", cents=50, entries=[Entry(id=1, cents=50)])
    back = over(Account, snapshot(store(account).get_one(Account, 1), Account.entries), form)
    assert (back.full_name, back.surname, back.euros, back.entry_sum) == ("a b", "b", 0.5, 50)


def test_keys_of_two_columns(store):
    """And a many-to-one to them."""
    session = store(Seat(row=1, letter="A"), Ticket(id=1, seat_row=1, seat_letter="A"))
    shown = snapshot(session.get_one(Seat, (1, "A")), Seat.tickets)
    assert over(Seat, shown) == shown


def test_attribute_names_of_any_kind(store):
    """Those of imperative mappings."""
    made = Plain("name")
    made.id = 1
    setattr(made, "odd name!", "odd")
    shown = snapshot(store(made).get_one(Plain, 1))
    assert getattr(over(Plain, shown), "odd name!") == "odd"


def test_mapped_dataclasses(store):
    """No constructor is called."""
    made = Card(id=1, title="t")
    made.comments.append(Comment(id=1, text="nice"))
    shown = snapshot(store(made).get_one(Card, 1), Card.comments)
    back = over(Card, shown)
    assert (back.title, back.comments[0].card is back) == ("t", True)


@every_format
def test_a_deep_chain(store, form):
    """Five thousand levels, without recursion."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    node = snapshot(session.scalars(select(Node).order_by(Node.id)).all())[-1]
    back, depth = over(Node, node, form), 0
    while back.parent is not None:
        depth, back = depth + 1, back.parent
    assert depth == 4_999


# --- values -----------------------------------------------------------------------------------

COLUMNS = {
    "ratio": [0.1, -0.0, 1e308, math.inf, -math.inf],
    "data": [b"", b"\x00\xff" * 9],
    "amount": [decimal.Decimal("1.10"), decimal.Decimal("-0"), decimal.Decimal("1E+30")],
    "at": [
        dt.datetime(2024, 2, 29, 12, 30, 1, 5),  # noqa: DTZ001
        dt.datetime(1, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2024, 10, 27, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
    ],
    "on": [dt.date(2024, 2, 29), dt.date.min, dt.date.max],
    "clock": [dt.time(12, 30), dt.time(23, 59, 59, 999999)],
    "lasting": [dt.timedelta(days=-1, microseconds=5), dt.timedelta.max],
    "token": [uuid.UUID(int=7)],
    "level": [Level.HIGH, Level.LOW],
    "anything": [
        1,
        2**70,
        "text",
        b"bytes",
        (1, ("a", None)),
        frozenset({1, "a"}),
        {"a": {1: (2, b"x")}},
        decimal.Decimal("0.1"),
        ipaddress.ip_address("::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        complex(1, 2),
    ],
    "document": [None, True, [], {}, [1, {"a": [None, 1.5]}], "text", {"": ""}, 2**63 - 1],
}
VALUES = [(name, value) for name, values in COLUMNS.items() for value in values]


@every_format
@pytest.mark.parametrize(
    ("name", "value"), VALUES, ids=[f"{name}-{number}" for number, (name, _) in enumerate(VALUES)]
)
def test_a_value_keeps_type_and_value(store, name, value, form):
    """Exactly, not nearly."""
    base = snapshot(store(record()).get_one(Record, 1))
    shown = replace(base, **{name: value})
    before, after = getattr(shown, name), getattr(over(Record, shown, form), name)
    assert after == before
    assert type(after) is type(before)
    assert repr(after) == repr(before)


@every_format
def test_nan_comes_back(store, form):
    """And equals itself in a snapshot."""
    base = snapshot(store(record()).get_one(Record, 1))
    shown = replace(base, ratio=math.nan)
    assert over(Record, shown, form) == shown


@every_format
def test_none_among_values_of_one_type(store, form):
    """A column of several rows, some of them NULL."""
    session = store(*[record(id=n, level=Level.LOW if n % 2 else None) for n in range(1, 6)])
    shown = snapshot(session.scalars(select(Record)).all())
    assert loads(tuple[Record, ...], dumps(shown, format=form)) == shown


@every_format
def test_values_of_several_types_in_one_column(store, form):
    """As untyped columns can hold."""
    base = snapshot(store(record()).get_one(Record, 1))
    values = [1, "a", None, b"x", (1,), decimal.Decimal(1), dt.date(2024, 1, 1), 1.5, True]
    shown = tuple(replace(base, id=n, anything=value) for n, value in enumerate(values))
    back = loads(tuple[Record, ...], dumps(shown, format=form))
    assert [one.anything for one in back] == values
    assert [type(one.anything) for one in back] == [type(value) for value in values]


@every_format
def test_a_value_without_a_form_is_refused(store, form):
    """With the column and the type, and without the value."""
    shown = snapshot(store(record(anything=Opaque([4711]))).get_one(Record, 1))
    with pytest.raises(SnapshotEncodeError, match=r"Record\.anything holds a Opaque") as caught:
        dumps(shown, format=form)
    assert "4711" not in str(caught.value)


def test_an_enum_that_is_not_the_column_s_is_refused(store):
    """Its class could not be found again."""
    shown = snapshot(store(record()).get_one(Record, 1))
    with pytest.raises(SnapshotEncodeError, match=r"Record\.anything"):
        dumps(replace(shown, anything=Level.HIGH))


def test_enums_are_written_by_name(store):
    """The class comes from the mapping."""
    shown = snapshot(store(record(level=Level.HIGH)).get_one(Record, 1))
    assert b"HIGH" in dumps(shown)
    assert b"Level" not in dumps(shown)


# --- transport --------------------------------------------------------------------------------


def test_the_data_is_read_by_another_process(shown, tmp_path):
    """In which nobody has made a snapshot yet."""
    file = tmp_path / "shown.msgpack"
    file.write_bytes(dumps(shown))
    program = (
        "import pathlib, sys\n"
        "from sqla_safe import loads\n"
        "from tests.unit.snapshots.models.gallery import User\n"
        "shown = loads(User, pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(shown.avatars[0].user is shown, shown.greeting(), shown)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.stdout == "True Hello Lisa <User snapshot id=1>\n"


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview], ids=lambda kind: kind.__name__)
def test_anything_like_bytes_can_be_loaded(shown, wrap):
    """What clients of caches give."""
    assert loads(User, wrap(dumps(shown))) == shown


def test_the_data_is_msgpack(shown):
    """Of plain lists, texts and numbers, without extension types."""

    def refuse(code, _data):
        pytest.fail(f"extension type {code}")

    assert msgspec.msgpack.decode(dumps(shown), ext_hook=refuse)


def test_the_data_is_small(store):
    """Many rows of one class share their names."""
    session = store(*many(100))
    shown = snapshot(session.scalars(select(User)).all(), User.avatars, Avatar.photos)
    assert dumps(shown).count(b"photos") == 1
    assert len(dumps(shown)) < 500 * 60  # bytes for each of 501 objects


class Code(str):
    """A text of the user's own."""

    __slots__ = ()


@every_format
def test_a_text_of_a_user_s_own_class_comes_back_as_text(store, form):
    """The class could not be found again; the value is equal."""
    base = snapshot(store(record()).get_one(Record, 1))
    back = over(Record, replace(base, anything=Code("abc")), form)
    assert back.anything == "abc"
    assert type(back.anything) is str


class Share(float):
    """A number of the user's own."""

    __slots__ = ()


@every_format
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_an_odd_number_of_a_user_s_own_class_comes_back(store, form, number):
    """JSON has no form for it, and it is no null."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=Share(number))
    assert str(over(Record, shown, form).anything) == number


@every_format
@pytest.mark.parametrize(
    "value", [{"a": math.nan}, [math.nan], {"a": decimal.Decimal("NaN")}], ids=repr
)
def test_nan_inside_a_value_comes_back_equal(store, form, value):
    """It is what was captured."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=value)
    assert over(Record, shown, form) == shown


@every_format
@pytest.mark.parametrize(
    "value", ["\ud800", {"a": "\ud800"}, {"\ud800": 1}, [{"a": ["\udfff"]}]], ids=ascii
)
def test_a_lone_surrogate_is_refused(store, form, value):
    """It is no text that could be written."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), document=value)
    with pytest.raises(SnapshotEncodeError, match=r"Record\.document"):
        dumps(shown, format=form)


@every_format
@pytest.mark.parametrize("access", [*Access, Access(0), Access.READ | Access.WRITE, None], ids=str)
def test_flags_come_back(store, form, access):
    """Combinations have no name."""
    shown = snapshot(store(Grant(id=1, access=access)).get_one(Grant, 1))
    assert over(Grant, shown, form).access == access


@every_format
def test_a_time_in_a_zone_is_refused(store, form):
    """Without a date the zone has no offset that could be written."""
    clock = dt.time(1, 2, tzinfo=zoneinfo.ZoneInfo("Europe/Paris"))
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=clock)
    with pytest.raises(SnapshotEncodeError, match=r"Record\.anything"):
        dumps(shown, format=form)


@every_format
def test_a_number_of_too_many_digits_is_refused(store, form):
    """More than Python turns into text."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=10**5000)
    with pytest.raises(SnapshotEncodeError, match=r"Record\.anything"):
        dumps(shown, format=form)


def test_an_unknown_format_is_refused(shown):
    """With those that there are."""
    with pytest.raises(SnapshotSourceError, match="msgpack"):
        dumps(shown, format="xml")
