"""What is no entity and no path is refused, with the line to write instead."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import aliased, joinedload, selectinload

from sqla_safe import NotLoadedError, SnapshotPathError, SnapshotSourceError, snapshot
from tests.unit.snapshots.models.computed import Account
from tests.unit.snapshots.models.gallery import Avatar, Photo, Tag, Team, User, lisa
from tests.unit.snapshots.models.trees import Node

NO_ENTITIES = {
    "None": (lambda _: None, "None.*make sure that the query found a row"),
    "class": (lambda _: User, "the class User.*an instance of it"),
    "number": (lambda _: 5, "type int"),
    "text": (lambda _: "Lisa", "type str"),
    "bytes": (lambda _: b"Lisa", "type bytes"),
    "dict": (lambda session: {"user": session.get_one(User, 1)}, "type dict"),
    "row": (lambda session: session.execute(select(User)).one(), "a Row.*session.scalars"),
    "rows": (lambda session: session.execute(select(User)).all(), "item 0 .*a Row"),
    "list of None": (lambda session: [session.get_one(User, 1), None], "item 1 .*None"),
    "list of classes": (lambda _: [User], "item 0 .*the class User"),
    "statement": (lambda _: select(User), "a statement"),
    "alias": (lambda _: aliased(User), "type"),
}
NO_PATHS = {
    "text": ("avatars", "'avatars' is not a path.*User.avatars"),
    "class": (Avatar, "Avatar.* is not a path"),
    "value": (5, "type int is not a path"),
    "None": (None, "is not a path"),
    "method": (User.greeting, "is not a path"),
    "hybrid": (Account.euros, r"Account\.euros is no path.* the columns"),
    "condition": (User.name == "Lisa", "is not a path"),
    "narrowed": (User.avatars.and_(Avatar.name == "Mona"), r"User\.avatars is narrowed"),
    "of_type": (User.avatars.of_type(Avatar), r"User\.avatars is narrowed"),
    "of another class": (Node.children, r"Node\.children .*cannot be reached from User"),
}


@pytest.mark.parametrize(("make", "match"), NO_ENTITIES.values(), ids=list(NO_ENTITIES))
def test_what_is_no_entity_is_refused(store, make, match):
    """Saying what it was, and what to give instead."""
    with pytest.raises(SnapshotSourceError, match=match):
        snapshot(make(store(lisa())))


@pytest.mark.parametrize(("path", "match"), NO_PATHS.values(), ids=list(NO_PATHS))
def test_what_is_no_path_is_refused(store, path, match):
    """Saying what it was, and what to give instead."""
    with pytest.raises(SnapshotPathError, match=match):
        snapshot(store(lisa()).get_one(User, 1), path)


@pytest.mark.parametrize("kind", [SnapshotSourceError, TypeError])
def test_a_wrong_source_is_a_type_error(kind):
    """As from any function."""
    with pytest.raises(kind):
        snapshot(5)


def test_a_path_of_a_class_that_was_not_met_is_no_error(store):
    """There are no avatars in the graph, but there could be."""
    assert snapshot(store(lisa()).get_one(User, 1), Avatar.photos).name == "Lisa"


def test_a_path_beyond_two_relationships_is_reachable(store):
    """Photo is two steps away from user, tag three."""
    photo = store(lisa()).get_one(Photo, 1)
    assert snapshot(photo, Photo.avatar, Avatar.user, User.tags, Tag.users).avatar is not None


def test_a_column_is_a_path(store):
    """One that is loaded already costs nothing."""
    assert snapshot(store(lisa()).get_one(User, 1), User.name, User.id).name == "Lisa"


def test_a_path_of_an_alias_is_refused(store):
    """An alias is a thing of one query."""
    with pytest.raises(SnapshotPathError):
        snapshot(store(lisa()).get_one(User, 1), aliased(User).avatars)


def test_a_path_asked_of_a_snapshot_that_has_it(store):
    """Then it is given back as it is."""
    shown = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    assert snapshot(shown, User.avatars) is shown


def test_a_path_asked_of_a_snapshot_that_lacks_it(store):
    """Nothing can be loaded into a snapshot."""
    shown = snapshot(store(lisa()).get_one(User, 1))
    with pytest.raises(NotLoadedError, match=r"User\.avatars"):
        snapshot(shown, User.avatars)


def test_a_wrong_option_is_sqlalchemy_s_own_error(store):
    """It is used as it is."""
    with pytest.raises(ArgumentError):
        snapshot(store(lisa()).get_one(User, 1), joinedload(Node.children))


def test_a_loader_option_does_not_touch_what_is_loaded(store):
    """Unflushed changes stay."""
    session = store(lisa())
    user = session.get_one(User, 1)
    user.name = "Nona"
    with session.no_autoflush:
        shown = snapshot(user, selectinload(User.avatars))
    assert (shown.name, user.name, len(shown.avatars)) == ("Nona", "Nona", 2)


def test_options_must_be_named(store):
    """`max_objects` is no path."""
    with pytest.raises(SnapshotPathError):
        snapshot(store(lisa()).get_one(Team, 1), 100)


def test_a_narrowed_path_names_no_option_that_drops_the_narrowing(store):
    """The repair keeps the condition."""
    with pytest.raises(SnapshotPathError, match="selectinload") as caught:
        snapshot(store(lisa()).get_one(User, 1), User.avatars.and_(Avatar.name == "Mona"))
    assert "selectinload(User.avatars)" not in str(caught.value)


def test_an_option_for_entities_of_unrelated_classes_is_refused(store):
    """There is no class that it could be run on."""
    session = store(lisa())
    roots = [session.get_one(User, 1), session.get_one(Tag, 1)]
    with pytest.raises(SnapshotPathError, match="not related"):
        snapshot(roots, selectinload(User.avatars))


def test_a_snapshot_is_no_path(store):
    """A second snapshot where a path should be."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotPathError, match="is not a path"):
        snapshot(user, snapshot(user))
