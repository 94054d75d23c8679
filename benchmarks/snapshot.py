"""What a snapshot costs, divided by what people use today.

Run ``python benchmarks/snapshot.py [rounds]``. Everything starts from the same loaded entities
(users with 5 avatars of 4 photos each). Each round runs every way once, in an order of its own;
printed are the medians of the ratios of processor time within the rounds, so that a busy machine
slows both sides. The converters make the nested objects that a caller asks for; a snapshot also
keeps the back references, the identity of shared objects, and all columns.
"""

from __future__ import annotations

import copy
import gc
import pickle
import random
import statistics
import sys
import tracemalloc
from time import process_time
from typing import TYPE_CHECKING, Any

import msgspec
from models import OBJECTS, Avatar, User, stored
from pydantic import TypeAdapter
from shapes import AvatarCard, PhotoCard, UserCard, UserModel, UserStruct
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from sqla_safe import dumps, loads, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    Ways = dict[str, Callable[[], object]]

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
SIZES = {1: ROUNDS * 8, 100: ROUNDS, 1_000: max(5, ROUNDS // 4)}


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
        "pydantic TypeAdapter": lambda: USERS.validate_python(users, from_attributes=True),
        "msgspec.convert": lambda: msgspec.convert(users, list[UserStruct], from_attributes=True),
        "frozen dataclass by hand": lambda: by_hand(users),
        "snapshot": lambda: snapshot(users),
        "snapshot with two paths": lambda: snapshot(users, User.avatars, Avatar.photos),
    }


def transports(users: list[User]) -> Ways:
    """Return every way to bytes and back; the first is the measure."""
    snaps = snapshot(users)
    return {
        "pickle of entities": lambda: pickle.loads(pickle.dumps(users)),  # noqa: S301
        "deepcopy of entities": lambda: copy.deepcopy(users),
        "pickle of snapshots": lambda: pickle.loads(pickle.dumps(snaps)),  # noqa: S301
        "dumps, loads: msgpack": lambda: loads(tuple[User, ...], dumps(snaps)),
        "dumps, loads: json": lambda: loads(tuple[User, ...], dumps(snaps, format="json")),
    }


# --- measuring ---------------------------------------------------------------


def timed(way: Callable[[], object]) -> float:
    """Return the processor seconds of one run; the result is dropped when the clock has stopped."""
    gc.collect()
    start = process_time()
    result = way()
    elapsed = process_time() - start
    del result
    return elapsed


def measure(title: str, ways: Ways, rounds: int) -> None:
    """Run all ways in each round, in an order of its own, and print the ratios to the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            times[name].append(timed(ways[name]))
    base = times[next(iter(ways))]
    print(f"\n{title}, {rounds} rounds")
    for name, own in times.items():
        low, middle, high = statistics.quantiles(
            [mine / its for mine, its in zip(own, base, strict=True)], n=4
        )
        print(
            f"  {name:<26} x{middle:.3f}  ({low:.3f}..{high:.3f})  "
            f"{statistics.median(own) * 1e3:.3f} ms"
        )


def measure_uncollected(title: str, ways: Ways, rounds: int) -> None:
    """Measure without the garbage collector, half of what pickling many entities takes."""
    chosen = {name: way for name, way in ways.items() if "deepcopy" not in name}
    gc.disable()
    try:
        measure(f"Round trip of {title}, the garbage collector off", chosen, rounds)
    finally:
        gc.enable()


def memory(way: Callable[[], object], objects: int) -> str:
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
    return f"{taken / objects:.0f} bytes per object"


def loaded(session: Session) -> list[User]:
    """Load all users with what they have."""
    paths = selectinload(User.avatars).selectinload(Avatar.photos)
    return list(session.scalars(select(User).options(paths).order_by(User.id)))


def measure_size(size: int, rounds: int) -> None:
    """Measure everything for a number of users."""
    engine = stored(size)
    with Session(engine) as session:
        users = loaded(session)
        title = f"{size:,} user{'s' if size > 1 else ''}, {size * OBJECTS:,} objects"
        measure(f"Freezing {title}", conversions(users), rounds)
        print("  " + memory(lambda: snapshot(users), size * OBJECTS))
        ways = transports(users)
        measure(f"Round trip of {title}", ways, max(5, rounds // 5))
        measure_uncollected(title, ways, max(5, rounds // 5))
        sizes: dict[str, Any] = {
            "pickle of entities": pickle.dumps(users),
            "pickle of snapshots": pickle.dumps(snapshot(users)),
            "msgpack": dumps(snapshot(users)),
            "json": dumps(snapshot(users), format="json"),
        }
        print(
            "  " + ", ".join(f"{name} {len(data) / 1024:,.0f} KiB" for name, data in sizes.items())
        )
    engine.dispose()


if __name__ == "__main__":
    for number_of_users, number_of_rounds in SIZES.items():
        measure_size(number_of_users, number_of_rounds)
