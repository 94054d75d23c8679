"""PostgreSQL's own types are frozen, compared and carried."""

from __future__ import annotations

import datetime as dt
import ipaddress
import uuid

import pytest
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import FrozenSnapshotError, asnapshot, replace, write_back
from tests.integration.snapshots.models import Everything, Level, PostgresBase
from tests.unit.snapshots.support import pickled

DAY = dt.datetime(2024, 2, 29, tzinfo=dt.UTC)
VALUES = {
    "numbers": [1, 2],
    "grid": [["a", "b"], ["c", "d"]],
    "document": {"a": [1, {"b": None}]},
    "span": Range(1, 5),
    "during": Range(DAY, None, bounds="[)"),
    "token": uuid.UUID(int=7),
    "address": ipaddress.ip_address("10.0.0.1"),
    "network": ipaddress.ip_network("10.0.0.0/8"),
    "level": Level.HIGH,
}
FROZEN = {
    **VALUES,
    "numbers": (1, 2),
    "grid": (("a", "b"), ("c", "d")),
    "document": {"a": (1, {"b": None})},
}


@pytest.fixture
async def maker(pg_engine):
    """Give a sessionmaker on a database with one row of everything."""
    async with pg_engine.begin() as connection:
        await connection.run_sync(PostgresBase.metadata.create_all)
    made = async_sessionmaker(pg_engine)
    async with made() as session, session.begin():
        session.add(Everything(id=1, **VALUES))
    return made


@pytest.fixture
async def shown(maker):
    """Give its snapshot."""
    async with maker() as session:
        return await asnapshot(await session.get_one(Everything, 1))


async def test_values_are_equal_and_frozen(shown):
    """Arrays are tuples, at any depth."""
    for name, value in FROZEN.items():
        if name in {"address", "network"}:
            assert str(getattr(shown, name)) == str(value)
        else:
            assert getattr(shown, name) == value


async def test_values_are_of_the_entity_s_types(maker, shown):
    """Ranges, addresses and UUIDs are what the driver gave."""
    async with maker() as session:
        live = await session.get_one(Everything, 1)
        for name in ("span", "during", "token", "address", "network", "level"):
            assert type(getattr(shown, name)) is type(getattr(live, name))


async def test_arrays_are_not_shared(maker):
    """Changing the live ones changes nothing."""
    async with maker() as session:
        live = await session.get_one(Everything, 1)
        shown = await asnapshot(live)
        live.numbers.append(3)
        live.grid[0].append("x")
        live.document["a"].append(2)
    assert (shown.numbers, shown.grid[0], shown.document["a"]) == (
        (1, 2),
        ("a", "b"),
        (1, {"b": None}),
    )


async def test_jsonb_cannot_be_changed(shown):
    """As JSON cannot."""
    with pytest.raises(FrozenSnapshotError):
        shown.document["a"] = 1


async def test_snapshots_of_one_row_are_equal(maker, shown):
    """With values of every type."""
    async with maker() as session:
        again = await asnapshot(await session.get_one(Everything, 1))
    assert again == shown


async def test_a_pickle_round_trip_is_equal(shown):
    """With values of every type."""
    assert pickled(shown) == shown


@pytest.mark.parametrize("name", [name for name in VALUES if name not in {"address", "network"}])
async def test_a_change_of_each_type_is_written_back(maker, shown, name):
    """Frozen containers are turned into what the driver takes."""
    others = {
        "numbers": [7],
        "grid": [["x"]],
        "document": [{"y": [1]}],
        "span": Range(2, 3),
        "during": Range(None, DAY),
        "token": uuid.UUID(int=8),
        "level": Level.LOW,
    }
    async with maker() as session, session.begin():
        await write_back(session, replace(shown, **{name: others[name]}), base=shown)
    async with maker() as session:
        assert getattr(await session.get_one(Everything, 1), name) == others[name]


async def test_null_in_every_column(maker):
    """None is None."""
    async with maker() as session, session.begin():
        session.add(Everything(id=2, document=None))
    async with maker() as session:
        shown = await asnapshot(await session.get_one(Everything, 2))
    assert {getattr(shown, name) for name in VALUES} == {None}
