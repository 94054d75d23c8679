"""Snapshots are pickled and copied, and stay what they are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_safe import FrozenSnapshotError, NotLoadedError, is_snapshot, snapshot
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.computed import Drawing, drawing
from tests.unit.snapshots.models.family import Company, company
from tests.unit.snapshots.models.gallery import Avatar, Tag, User, lisa
from tests.unit.snapshots.models.trees import Node, add_deep_chain, chain
from tests.unit.snapshots.models.values import Record, record
from tests.unit.snapshots.support import pickled, sent

ROOT = Path(__file__).parents[3]
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture
def shown(store):
    """Give a snapshot with cycles."""
    paths = User.avatars, Avatar.photos, User.team, User.tags, Tag.users
    return snapshot(store(lisa()).get_one(User, 1), *paths)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_pickle_round_trip_is_equal(shown, protocol):
    """With every protocol that knows slots."""
    back = pickle.loads(pickle.dumps(shown, protocol))  # noqa: S301 - written a moment ago
    assert back == shown
    assert is_snapshot(back)


def test_a_pickle_keeps_cycles(shown):
    """The child's parent is the root."""
    back = pickled(shown)
    assert back.avatars[0].user is back
    assert back.tags[0].users[0] is back


def test_a_pickle_keeps_what_is_missing_missing(shown):
    """Nothing is invented."""
    with pytest.raises(NotLoadedError, match=r"User\.bio"):
        _ = pickled(shown).bio


def test_a_pickle_is_as_frozen(shown):
    """Itself, and its JSON values."""
    back = pickled(shown)
    with pytest.raises(FrozenSnapshotError):
        back.name = "Nona"
    with pytest.raises(FrozenSnapshotError):
        back.settings["theme"] = "light"


def test_a_pickle_holds_no_entity(shown):
    """No instance state, no session, no engine."""
    data = pickle.dumps(shown)
    assert b"InstanceState" not in data
    assert b"sqlalchemy" not in data


def test_a_tuple_of_snapshots_is_pickled(shown):
    """Shared objects stay shared."""
    one, two = pickled((shown, shown.avatars[0]))
    assert two.user is one


def test_sets_and_dicts_are_pickled(store):
    """Members of a set are hashed while they load."""
    paths = Box.chosen, Box.notes, Box.by_size, Box.bag
    box = snapshot(store(full_box()).get_one(Box, 1), *paths)
    back = pickled(box)
    assert back == box
    assert all(choice in back.chosen for choice in box.chosen)


def test_a_member_of_a_set_is_pickled_first(store):
    """The set is then met while its member is half made."""
    box = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    choice = next(iter(box.chosen))
    back = pickled(choice)
    assert back in back.box.chosen
    assert back == choice


def test_polymorphic_snapshots_are_pickled(store):
    """Each as its class."""
    shown = snapshot(store(company()).get_one(Company, 1), Company.staff)
    assert [type(one) for one in pickled(shown).staff] == [type(one) for one in shown.staff]


def test_composites_are_pickled(store):
    """By their columns."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    assert pickled(shown).span == shown.span


def test_values_are_pickled(store):
    """Frozen containers of every kind."""
    made = record(document={"a": [1, {"b": 2}]}, labels={1}, history=[1], buffer=bytearray(b"x"))
    shown = snapshot(store(made).get_one(Record, 1))
    assert pickled(shown) == shown


def test_an_unpickled_snapshot_has_the_same_class(shown):
    """Frozen classes are made once."""
    assert type(pickled(shown)) is type(shown)


def test_a_pickle_is_read_by_another_process(shown, tmp_path):
    """In which nobody has made a snapshot yet."""
    file = tmp_path / "shown.pickle"
    file.write_bytes(pickle.dumps(shown))
    program = (
        "import pickle, pathlib, sys\n"
        "shown = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
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


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_is_the_snapshot_itself(shown, make):
    """There is nothing that could come apart."""
    assert make(shown) is shown


def test_a_deepcopy_of_what_holds_a_snapshot(shown):
    """The list is new, the snapshot is not."""
    held = [shown]
    made = copy.deepcopy(held)
    assert made is not held
    assert made[0] is shown


def test_a_deepcopy_of_a_json_value(shown):
    """It is frozen, so it is itself."""
    assert copy.deepcopy(shown.settings) == shown.settings


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace is new in Python 3.13")
def test_copy_replace_makes_a_changed_copy(shown):
    """What `replace` does."""
    changed = copy.replace(shown, name="Nona")  # type: ignore[attr-defined]
    assert (changed.name, shown.name, is_snapshot(changed)) == ("Nona", "Lisa", True)


def test_a_deep_chain_is_copied(store):
    """Five thousand levels."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    node = snapshot(session.scalars(select(Node).order_by(Node.id)).all())[-1]
    assert copy.deepcopy(node) is node


def test_a_snapshot_can_be_read_by_many_threads(shown):
    """Nothing in it changes, and nothing is sent."""

    def read(user):
        return [photo.url for avatar in user.avatars for photo in avatar.photos]

    with sent() as statements, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(read, repeat(shown, 200)))
    assert results == [["1.jpg", "2.jpg", "3.jpg"]] * 200
    assert statements == []


def test_the_frozen_class_is_made_once_by_many_threads(store):
    """The first snapshots of a class are taken together."""

    class FreshBase(DeclarativeBase):
        pass

    class Fresh(FreshBase):
        __tablename__ = "fresh"
        id: Mapped[int] = mapped_column(primary_key=True)

    session = store(*[Fresh() for _ in range(8)])
    entities = session.scalars(select(Fresh)).all()
    session.expunge_all()
    barrier = threading.Barrier(8)

    def freeze(entity):
        barrier.wait()
        return type(snapshot(entity))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(freeze, entities))) == 1
