"""What a snapshot costs, divided by what people use today.

Run ``python benchmarks/snapshot.py [--rounds N]``. Everything starts from the same loaded entities
(users with 5 avatars of 4 photos each). Each round runs every way once, in an order of its own;
printed are the medians of the ratios of processor time within the rounds, so that a busy machine
slows both sides. The converters make the nested objects that a caller asks for; a snapshot also
keeps the back references, the identity of shared objects, and all columns.
"""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
from contextlib import contextmanager
from time import process_time
from typing import TYPE_CHECKING

import msgspec
from figures import Figure, from_pairs, parser, run
from models import OBJECTS, Avatar, User, stored
from pydantic import TypeAdapter
from shapes import AvatarCard, PhotoCard, UserCard, UserModel, UserStruct
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload
from timing import seconds, shuffled

from sqla_safe import dumps, loads, snapshot

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator

    Ways = dict[str, Callable[[], object]]

SIZES = {1: 8.0, 100: 1.0, 1_000: 0.25}
"""How many users, and for how large a part of the rounds."""


# --- what people use today ---------------------------------------------------


def by_hand(users: list[User]) -> list[UserCard]:
    """Convert as one writes it oneself."""
    return [
        UserCard(
            u.id,
            u.telegram_id,
            u.name,
            u.email,
            u.balance,
            u.is_active,
            u.created_at,
            tuple([avatar_by_hand(avatar) for avatar in u.avatars]),
        )
        for u in users
    ]


def avatar_by_hand(avatar: Avatar) -> AvatarCard:
    """Convert an avatar."""
    photos = tuple([PhotoCard(p.id, p.url, p.width, p.height) for p in avatar.photos])
    return AvatarCard(avatar.id, avatar.name, avatar.status, avatar.created_at, photos)


USERS = TypeAdapter(list[UserModel])


def conversions(users: list[User]) -> Ways:
    """Return every way from loaded entities to something immutable; the first is the measure."""
    return {
        "pydantic": lambda: USERS.validate_python(users, from_attributes=True),
        "msgspec": lambda: msgspec.convert(users, list[UserStruct], from_attributes=True),
        "hand": lambda: by_hand(users),
        "snapshot": lambda: snapshot(users),
        "paths": lambda: snapshot(users, User.avatars, Avatar.photos),
    }


def transports(users: list[User]) -> Ways:
    """Return every way to bytes and back; the first is the measure."""
    snaps = snapshot(users)
    return {
        "entities": lambda: pickle.loads(pickle.dumps(users)),  # noqa: S301
        "deepcopy": lambda: copy.deepcopy(users),
        "pickle": lambda: pickle.loads(pickle.dumps(snaps)),  # noqa: S301
        "msgpack": lambda: loads(tuple[User, ...], dumps(snaps)),
        "json": lambda: loads(tuple[User, ...], dumps(snaps, format="json")),
    }


# --- measuring ---------------------------------------------------------------


def timed(way: Callable[[], object]) -> float:
    """Return the processor seconds of one run, begun without anything to collect."""
    gc.collect()
    return seconds(way, process_time)


def compared(section: str, column: str, ways: Ways, rounds: int) -> Iterator[Figure]:
    """Run all ways in each round, in an order of its own, and divide by the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in shuffled(ways):
            times[name].append(timed(ways[name]))
    base, *others = ways
    for name in others:
        yield from_pairs(f"{section}.{name}.{column}", times[name], times[base])


@contextmanager
def uncollected() -> Iterator[None]:
    """Work without the garbage collector, half of what pickling many entities takes."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def memory(way: Callable[[], object], objects: int) -> float:
    """Return the bytes that each object of a result takes, its values not counted."""
    way()
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    result = way()
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert result
    return taken / objects


def loaded(session: Session) -> list[User]:
    """Load all users with what they have."""
    paths = selectinload(User.avatars).selectinload(Avatar.photos)
    return list(session.scalars(select(User).options(paths).order_by(User.id)))


def timed_with(users: list[User], size: int, rounds: int) -> Iterator[Figure]:
    """Measure the time for a number of users."""
    yield from compared("freeze", str(size), conversions(users), rounds)
    ways = transports(users)
    few = max(min(5, rounds), rounds // 5)
    yield from compared("travel", str(size), ways, few)
    if size > 1:
        with uncollected():
            yield from compared("travel", f"{size}-off", ways, few)


def sizes_of(users: list[User]) -> Iterator[Figure]:
    """Measure what users take, in memory and as bytes."""
    objects = len(users) * OBJECTS
    yield Figure("size.memory", memory(lambda: snapshot(users), objects))
    pickled = len(pickle.dumps(users))
    yield Figure("size.msgpack", len(dumps(snapshot(users))) / pickled * 100)
    yield Figure("size.json", len(dumps(snapshot(users), format="json")) / pickled * 100)


def entities_in_memory(users: int) -> float:
    """Return the bytes of a loaded entity, and all that the session keeps of it."""
    engine = stored(users)
    with Session(engine) as session:
        bytes_each = memory(lambda: loaded(session), users * OBJECTS)
    engine.dispose()
    return bytes_each


def measure(options: Namespace) -> Iterator[Figure]:
    """Measure every number of users."""
    sizes = {1: 1.0, 100: 1.0} if options.quick else SIZES
    for size, share in sizes.items():
        engine = stored(size)
        with Session(engine) as session:
            users = loaded(session)
            yield from timed_with(users, size, max(2, int(options.rounds * share)))
            if size == max(sizes):
                yield from sizes_of(users)
        engine.dispose()
    yield Figure("size.entities", entities_in_memory(max(sizes)))


if __name__ == "__main__":
    run(parser(__doc__, rounds=30), measure)
