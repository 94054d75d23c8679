"""Containers are written as the column knows them."""

from __future__ import annotations

import pytest

from sqla_safe import (
    replace,
    snapshot,
    write_back,
)
from tests.unit.snapshots.models.values import Frozen, Record, Size, record


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("anything", {"a": [1, {2}]}),
        ("settings", {"a": [1]}),
        ("history", [1, {"a": 1}]),
        ("labels", {1, 2}),
        ("words", ["a", "b"]),
    ],
    ids=["pickle", "mutable dict", "mutable list", "mutable set", "list"],
)
def test_containers_are_stored_as_plain_ones(store, name, value):
    """What is read afterwards is what an assignment to the entity would have stored."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, **{name: value}), base=base)
    session.commit()
    stored = getattr(session.get_one(Record, 1), name)
    assert stored == value
    if name == "anything":
        assert type(stored) is dict
        assert type(stored["a"]) is list


@pytest.mark.parametrize(
    "value", [Frozen({"a": [1]}), Size(1, [{"a": 1}])], ids=["frozen dataclass", "named tuple"]
)
def test_no_class_of_a_snapshot_is_stored(store, value):
    """Other programs read the column, too."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, anything=value), base=base)
    [stored] = session.connection().exec_driver_sql("SELECT anything FROM record").scalars()
    assert b"sqla_safe" not in stored


@pytest.mark.parametrize(
    "value", [Frozen({"a": [1]}), Size(1, [{"a": 1}])], ids=["frozen dataclass", "named tuple"]
)
def test_a_value_with_containers_in_it_is_stored_as_it_was(store, value):
    """Equal, and of its class."""
    session = store(record())
    base = snapshot(session.get_one(Record, 1))
    write_back(session, replace(base, anything=value), base=base)
    session.commit()
    assert session.get_one(Record, 1).anything == value
