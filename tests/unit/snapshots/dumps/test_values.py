"""Values of every type, as bytes and back."""

from __future__ import annotations

import datetime as dt
import decimal
import ipaddress
import math
import uuid
import zoneinfo

import msgspec
import pytest
from sqlalchemy import select

from sqla_safe import (
    SnapshotDecodeError,
    SnapshotEncodeError,
    dumps,
    loads,
    replace,
    snapshot,
)
from tests.unit.snapshots.dumps.support import every_format, over
from tests.unit.snapshots.models.values import (
    Access,
    Grant,
    Level,
    Opaque,
    Record,
    record,
)

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


class Code(str):
    """A text without attributes of its own."""

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
    with pytest.raises(SnapshotEncodeError, match=r"Record\.document holds a str .* surrogate"):
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


# --- dates in time zones ----------------------------------------------------------------------

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
MOMENTS = {
    "winter": dt.datetime(2026, 1, 5, 12, tzinfo=BERLIN),
    "fold": dt.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    "after the fold": dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN),
    "gap": dt.datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
    "utc by name": dt.datetime(2026, 1, 5, 12, 0, 0, 7, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "three parts": dt.datetime(
        2026, 1, 5, tzinfo=zoneinfo.ZoneInfo("America/Argentina/Buenos_Aires")
    ),
}
OTHERS = {
    "alone": [],
    "with null": [None],
    "with another zone": [dt.datetime(2026, 1, 5, tzinfo=zoneinfo.ZoneInfo("Asia/Tokyo"))],
    "with utc": [dt.datetime(2026, 1, 5, tzinfo=dt.UTC)],
    "with none": [dt.datetime(2026, 1, 5)],  # noqa: DTZ001
    "with a text": ["text"],
}


@every_format
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=list(MOMENTS))
@pytest.mark.parametrize("others", OTHERS.values(), ids=list(OTHERS))
def test_a_time_zone_comes_back_by_its_name(store, form, moment, others):
    """An offset would not be equal in the hour that comes twice."""
    base = snapshot(store(record()).get_one(Record, 1))
    shown = tuple(replace(base, anything=value) for value in (moment, *others))
    back = over(tuple[Record, ...], shown, form)
    assert back == shown
    assert back[0].anything.tzinfo is moment.tzinfo
    assert back[0].anything.fold == moment.fold
    assert back[0].anything.utcoffset() == moment.utcoffset()


@every_format
@pytest.mark.parametrize("zones_of", ["the system", "tzdata"])
@pytest.mark.parametrize(
    "key",
    [
        *("../../etc/passwd", "/etc/localtime", "Europe/../UTC"),
        *("No/Where", "Europe", "", ".", "a" * 999),
    ],
    ids=lambda key: key[:20],
)
def test_a_time_zone_that_is_none_is_refused(store, form, key, zones_of, request):
    """No file is looked for outside of the time zones."""
    if zones_of == "tzdata":
        request.addfinalizer(zoneinfo.reset_tzpath)
        zoneinfo.reset_tzpath(to=())
    base = snapshot(store(record()).get_one(Record, 1))
    good = dumps((replace(base, anything=MOMENTS["winter"]),), format=form)
    document = (msgspec.json if form == "json" else msgspec.msgpack).decode(good)
    for column in document[3][0][3]:
        if column[1] == "zoned":
            column[2] = [column[2][0].replace("Europe/Berlin", key)]
    hostile = (msgspec.json if form == "json" else msgspec.msgpack).encode(document)
    with pytest.raises(SnapshotDecodeError):
        loads(tuple[Record, ...], hostile)


@every_format
@pytest.mark.parametrize("seconds", [7, -3_607, 86_399])
def test_an_offset_with_seconds_comes_back(store, form, seconds):
    """Local times before 1900 have such."""
    moment = dt.datetime(1890, 1, 1, tzinfo=dt.timezone(dt.timedelta(seconds=seconds)))
    base = snapshot(store(record()).get_one(Record, 1))
    assert over(Record, replace(base, anything=moment), form).anything == moment


# --- large numbers ----------------------------------------------------------------------------

LARGE = {
    "largest signed": 2**63 - 1,
    "one more": 2**63,
    "largest unsigned": 2**64 - 1,
    "one bit more": 2**64,
    "smallest signed": -(2**63),
    "one less": -(2**63) - 1,
    "many digits": 10**4_000,
}


@every_format
@pytest.mark.parametrize("number", LARGE.values(), ids=list(LARGE))
def test_a_large_number_comes_back(store, form, number):
    """Alone and among others."""
    base = snapshot(store(record()).get_one(Record, 1))
    shown = tuple(replace(base, anything=value) for value in (number, 1, None, True))
    assert over(tuple[Record, ...], shown, form) == shown
