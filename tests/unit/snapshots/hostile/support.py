"""Data that nobody vouches for, and what must become of it."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import msgspec
from hypothesis import HealthCheck, settings

from sqla_safe import SnapshotDecodeError, SnapshotLimitError, is_snapshot, loads
from tests.unit.snapshots.models.gallery import User

KILOBYTE = 2**10
MEGABYTE = 2**20
fuzz = settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)


def refused(data, entity=User, **options):
    """Make sure that the data is refused cleanly, or is a good snapshot, within bounds.

    The bound is 64 bytes for each byte of the data, besides the plan that a first reading makes.
    """
    with suppress(SnapshotDecodeError):
        loads(entity, b"")
    tracemalloc.start()
    try:
        back = loads(entity, data, **options)
    except SnapshotDecodeError as error:
        assert "This is no snapshot of" in str(error)  # noqa: PT017 - only if it is raised
        return True
    except SnapshotLimitError:
        return True
    else:
        assert all(map(is_snapshot, back if isinstance(back, tuple) else [back]))
        return False
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 128 * KILOBYTE + 64 * len(data)


def edited(data, change):
    """Decode msgpack data, change it and encode it again."""
    document = msgspec.msgpack.decode(data)
    change(document)
    return msgspec.msgpack.encode(document)


def numbers_in(document):
    """Give the places of all numbers in a document."""
    places = [(document, number) for number in range(len(document))]
    for holder, place in places:
        if isinstance(holder[place], list):
            places += [(holder[place], number) for number in range(len(holder[place]))]
    return [(h, p) for h, p in places if type(h[p]) is int]
