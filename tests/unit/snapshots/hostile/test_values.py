"""Values chosen to hurt: those that collide, and those that errors could show."""

from __future__ import annotations

import traceback

import pytest

from sqla_safe import (
    SnapshotDecodeError,
    SqlaSafeError,
    dumps,
    loads,
    replace,
    snapshot,
)
from tests.unit.snapshots.hostile.support import (
    edited,
)
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.gallery import User, lisa
from tests.unit.snapshots.models.values import Record, record


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
    "unknown",
    "zoned",
    "json",
    "tagged",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_kind_shows_no_value(store, kind):
    """Python's own errors would: no part of the traceback is to have them."""
    canary = "canary-4711"
    made = lisa()
    made.name = canary

    def wrong(document):
        for group in document[3]:
            for column in group[3]:
                column[1] = kind if column[0] == "name" else column[1]

    hostile = edited(dumps(snapshot(store(made).get_one(User, 1))), wrong)
    with pytest.raises(SqlaSafeError) as caught:
        loads(User, hostile)
    assert canary not in "".join(traceback.format_exception(caught.value))
