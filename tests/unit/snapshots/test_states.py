"""What happens to unloaded, expired, detached, pending and deleted entities."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy import inspect, select, update
from sqlalchemy.orm import Session, make_transient, raiseload, selectinload

from sqla_safe import (
    DeletedEntityError,
    DetachedEntityError,
    NotLoadedError,
    PendingEntityError,
    SnapshotSourceError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, Photo, User, lisa, many
from tests.unit.snapshots.models.versions import Page, Stamped
from tests.unit.snapshots.support import sent


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


# --- unloaded ---------------------------------------------------------------------------------


def test_an_unloaded_collection_is_not_captured(session):
    """Neither loaded nor empty."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(NotLoadedError):
        _ = shown.avatars


def test_an_unloaded_collection_is_not_loaded(session):
    """Freezing sends nothing."""
    user = session.get_one(User, 1)
    with sent() as statements:
        snapshot(user)
    assert statements == []


def test_raiseload_does_not_disturb(session):
    """It concerns lazy loads; there are none."""
    user = session.scalars(select(User).options(raiseload("*"))).one()
    assert snapshot(user).name == "Lisa"


def test_a_path_goes_before_raiseload(session):
    """Named is named."""
    user = session.scalars(select(User).options(raiseload("*"))).one()
    assert len(snapshot(user, User.avatars).avatars) == 2


def test_a_path_loads_only_what_is_missing(session):
    """Two of three users have their avatars loaded: theirs are left alone."""
    session.add_all([User(id=2, name="two"), User(id=3, name="three")])
    session.commit()
    users = session.scalars(select(User).order_by(User.id)).all()
    users[0].avatars[0].name = "changed in memory"
    with session.no_autoflush:
        shown = snapshot(users, User.avatars)
    assert shown[0].avatars[0].name == "changed in memory"
    assert [len(one.avatars) for one in shown] == [2, 0, 0]


def test_what_is_loaded_already_costs_nothing(session):
    """A path that is there sends nothing."""
    user = session.get_one(User, 1)
    assert user.avatars
    with sent() as statements:
        snapshot(user, User.avatars)
    assert statements == []


def test_changes_in_memory_are_what_is_frozen(session):
    """The entity's state, not the row's."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    assert snapshot(user).name == "Nona"


def test_changes_in_memory_survive_the_loading_of_paths(session):
    """A load does not bring back the row's value."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    assert snapshot(user, User.avatars, User.bio).name == "Nona"
    assert user.name == "Nona"


def test_a_new_member_in_memory_is_part_of_the_graph(session):
    """After its flush it has a key."""
    user = session.get_one(User, 1)
    user.avatars.append(Avatar(name="new"))
    session.flush()
    assert [avatar.name for avatar in snapshot(user).avatars] == ["Mona", "Gioconda", "new"]


# --- expired ----------------------------------------------------------------------------------


def test_an_expired_entity_is_loaded_again(session):
    """Its columns, in one statement."""
    user = session.get_one(User, 1)
    session.commit()
    with sent() as statements:
        shown = snapshot(user)
    assert (shown.name, len(statements)) == ("Lisa", 1)


def test_expired_entities_of_one_class_cost_one_statement(store):
    """Fifty of them."""
    session = store(*many(50))
    users = session.scalars(select(User)).all()
    session.commit()
    with sent() as statements:
        shown = snapshot(users)
    assert (len(shown), len(statements)) == (50, 1)


def test_expired_entities_of_two_classes_cost_two_statements(session):
    """Users and their avatars."""
    user = session.get_one(User, 1)
    for avatar in user.avatars:
        session.expire(avatar, ["name"])
    session.expire(user, ["name"])
    with sent() as statements:
        shown = snapshot(user)
    assert len(statements) == 2
    assert [avatar.name for avatar in shown.avatars] == ["Mona", "Gioconda"]


def test_a_single_expired_column_is_loaded(session):
    """The others stay as they are."""
    user = session.get_one(User, 1)
    user.balance = 99
    session.expire(user, ["name"])
    shown = snapshot(user)
    assert (shown.name, shown.balance) == ("Lisa", 99)


def test_an_expired_deferred_column_is_not_loaded(session):
    """Expiring brings no path along: bio was never captured."""
    user = session.get_one(User, 1)
    session.commit()
    with pytest.raises(NotLoadedError):
        _ = snapshot(user).bio


def test_an_expired_collection_is_not_captured(session):
    """It is no longer loaded."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.commit()
    with pytest.raises(NotLoadedError):
        _ = snapshot(user).avatars


def test_an_expired_collection_is_a_path(session):
    """Named, it is loaded with its members."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.commit()
    assert [avatar.name for avatar in snapshot(user, User.avatars).avatars] == ["Mona", "Gioconda"]


def test_after_a_rollback_the_row_is_read_again(session):
    """Changes that were undone are not frozen."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    session.flush()
    session.rollback()
    assert snapshot(user).name == "Lisa"


def test_a_server_side_onupdate_is_loaded(store):
    """The flush expired it."""
    session = store(Stamped(id=1, name="a"))
    stamped = session.get_one(Stamped, 1)
    stamped.name = "b"
    session.flush()
    with sent() as statements:
        shown = snapshot(stamped)
    assert (shown.name, shown.changes, len(statements)) == ("b", 7, 1)


def test_a_server_default_is_loaded(store):
    """The flush left it for later."""
    session = store(Stamped(id=1, name="a"))
    new = Stamped(id=2, name="n")
    session.add(new)
    session.flush()
    assert snapshot(new).made == 5


def test_a_sql_expression_that_was_assigned_is_loaded(session):
    """After its flush the value is the database's."""
    user = session.get_one(User, 1)
    user.balance = User.balance + 5
    session.flush()
    assert snapshot(user).balance == 15


def test_an_expired_entity_whose_row_is_gone(session):
    """Deleted behind the session's back."""
    user = session.get_one(Photo, 1)
    session.commit()
    session.connection().exec_driver_sql("DELETE FROM photo WHERE id = 1")
    with pytest.raises(DeletedEntityError, match="Photo"):
        snapshot(user)


def test_a_bulk_update_is_seen(session):
    """`synchronize_session` expires or sets the attribute."""
    user = session.get_one(User, 1)
    session.execute(update(User).values(balance=1))
    assert snapshot(user).balance == 1


# --- detached ---------------------------------------------------------------------------------


def test_a_detached_entity_with_everything_loaded_is_frozen(session):
    """No session is needed for what is there."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    assert [avatar.name for avatar in snapshot(user).avatars] == ["Mona", "Gioconda"]


def test_a_path_that_a_detached_entity_has_is_no_error(session):
    """It is there already."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    assert len(snapshot(user, User.avatars).avatars) == 2


def test_a_path_that_a_detached_entity_lacks_is_an_error(session):
    """There is no session to load it."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError, match=r"User\.avatars"):
        snapshot(user, User.avatars)


def test_the_error_of_a_detached_entity_has_its_data(session):
    """Class and attributes, for programs."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError) as caught:
        snapshot(user, User.avatars, User.tags)
    assert caught.value.entity == "User"
    assert set(caught.value.missing) == {"User.avatars", "User.tags"}
    assert not caught.value.expired


def test_a_loader_option_needs_a_session(session):
    """It can only be run."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError):
        snapshot(user, selectinload(User.avatars))


def test_an_entity_that_expired_and_left_its_session_is_an_error(session):
    """Not even its key is there."""
    user = session.get_one(User, 1)
    session.commit()
    session.expunge_all()
    with pytest.raises(DetachedEntityError, match="expired when its transaction ended") as caught:
        snapshot(user)
    assert caught.value.expired


def test_an_entity_of_a_closed_session_is_detached(session):
    """`close()` expunges."""
    user = session.get_one(User, 1)
    session.close()
    assert snapshot(user).name == "Lisa"


def test_a_lazy_many_to_one_of_a_detached_graph_is_resolved(session):
    """Among the entities that are frozen together, the parent is found by its key."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    shown = snapshot(user)
    assert shown.avatars[0].user is shown


# --- pending, transient -----------------------------------------------------------------------


def test_a_transient_entity_is_refused():
    """It has no row."""
    with pytest.raises(PendingEntityError, match=r"User .*flush"):
        snapshot(User(name="new"))


def test_a_pending_entity_is_refused(session):
    """It has no row yet."""
    user = User(name="new")
    session.add(user)
    with pytest.raises(PendingEntityError):
        snapshot(user)


def test_a_flushed_entity_is_frozen(session):
    """It has a key."""
    user = User(name="new")
    session.add(user)
    session.flush()
    assert snapshot(user).id == 2


def test_a_flushed_entity_holds_its_defaults(session):
    """Those that Python sets."""
    user = User(name="new")
    session.add(user)
    session.flush()
    assert snapshot(user).balance == 10


def test_a_pending_member_is_refused(session):
    """Also deep in the graph."""
    user = session.get_one(User, 1)
    with session.no_autoflush:
        user.avatars.append(Avatar(name="new"))
        with pytest.raises(PendingEntityError, match="Avatar"):
            snapshot(user)


def test_an_entity_made_transient_is_refused(session):
    """It has forgotten its row."""
    user = session.get_one(User, 1)
    make_transient(user)
    with pytest.raises(PendingEntityError):
        snapshot(user)


# --- deleted ----------------------------------------------------------------------------------


def test_an_entity_marked_for_deletion_is_frozen(session):
    """The row is still there: this is the moment for an audit trail."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    assert snapshot(photo).url == "1.jpg"


def test_an_entity_whose_deletion_was_flushed_is_refused(session):
    """The row is gone."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.flush()
    with pytest.raises(DeletedEntityError, match="Photo"):
        snapshot(photo)


def test_an_entity_whose_deletion_was_committed_is_refused(session):
    """The row is gone for good."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.commit()
    with pytest.raises(DeletedEntityError):
        snapshot(photo)


def test_a_deletion_that_was_rolled_back_leaves_an_entity(session):
    """The row is back."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.flush()
    session.rollback()
    assert snapshot(photo).url == "1.jpg"


def test_a_deleted_member_of_a_loaded_collection_is_refused(session):
    """The collection is older than the deletion."""
    avatar = session.get_one(Avatar, 1)
    photo = avatar.photos[0]
    session.delete(photo)
    session.flush()
    with pytest.raises(DeletedEntityError, match="take deleted entities out"):
        snapshot(avatar)


# --- sessions ---------------------------------------------------------------------------------


def test_roots_of_two_sessions_are_refused(session):
    """Their graphs would be mixed."""
    with Session(session.get_bind()) as other:
        users = [session.get_one(User, 1), other.get_one(User, 1)]
        with pytest.raises(SnapshotSourceError, match="several sessions"):
            snapshot(users)


def test_a_snapshot_outlives_its_session(session):
    """Everything that was captured can be read."""
    shown = snapshot(session.get_one(User, 1), User.avatars, Avatar.photos)
    session.close()
    assert shown.avatars[0].photos[0].avatar is shown.avatars[0]


def test_a_snapshot_survives_the_commit(session):
    """Nothing expires in it."""
    shown = snapshot(session.get_one(User, 1), User.avatars)
    session.commit()
    with sent() as statements:
        assert shown.avatars[0].name == "Mona"
    assert statements == []


def test_a_snapshot_does_not_follow_the_entity(session):
    """It holds the state of its moment."""
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    user.name = "Nona"
    user.avatars[0].name = "other"
    user.avatars.pop()
    session.flush()
    assert (shown.name, [avatar.name for avatar in shown.avatars]) == ("Lisa", ["Mona", "Gioconda"])


def test_freezing_does_not_keep_the_entities_alive(session):
    """A snapshot holds no reference to what it was made from."""
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    gone = weakref.ref(user)
    session.expunge_all()
    del user
    gc.collect()
    assert gone() is None
    assert shown.name == "Lisa"


# --- versions ---------------------------------------------------------------------------------


def test_the_version_is_held(store):
    """It is a column like others."""
    session = store(Page(id=1, title="a"))
    page = session.get_one(Page, 1)
    page.title = "b"
    session.commit()
    assert snapshot(page).version == 2


def test_freezing_leaves_the_version_alone(store):
    """Nothing is written."""
    session = store(Page(id=1, title="a"))
    page = session.get_one(Page, 1)
    snapshot(page)
    session.commit()
    assert page.version == 1
    assert inspect(page).session is session


# --- detached and expired together ------------------------------------------------------------


def test_an_expired_column_that_is_named_cannot_be_loaded_without_a_session(session):
    """It was asked for."""
    user = session.get_one(User, 1)
    session.expire(user, ["name"])
    session.expunge(user)
    with pytest.raises(DetachedEntityError, match=r"User\.name"):
        snapshot(user, User.name)


# --- flushed, with columns that nobody set ----------------------------------------------------


def quietly(entity, *paths):
    """Freeze, and make sure that nothing is sent."""
    with sent() as statements:
        shown = snapshot(entity, *paths)
    assert statements == []
    return shown


@pytest.mark.parametrize("key", [{}, {"id": 50}], ids=["new key", "given key"])
@pytest.mark.parametrize("name", ["settings", "team_id"])
def test_what_was_not_set_before_the_flush_is_none(session, key, name):
    """As the entity reads, which sends nothing either."""
    user = User(name="new", **key)
    session.add(user)
    session.flush()
    assert getattr(quietly(user), name) is None


def test_many_entities_that_were_flushed_together_hold_none(session):
    """Each of them, whatever the others have set."""
    users = [User(name="one"), User(name="two", team_id=1)]
    session.add_all(users)
    session.flush()
    assert [user.team_id for user in quietly(users)] == [None, 1]


def test_freezing_does_not_set_what_was_not_set(session):
    """The entity stays as it is."""
    avatar = Avatar(name="alone")
    session.add(avatar)
    session.flush()
    quietly(avatar)
    assert "user_id" not in vars(avatar)


def test_a_deferred_column_that_was_not_set_is_not_captured(session):
    """The entity would load it."""
    user = User(name="new")
    session.add(user)
    session.flush()
    with pytest.raises(NotLoadedError, match=r"User\.bio"):
        _ = quietly(user).bio


# --- collections that were changed before they were loaded ------------------------------------


def test_a_pending_member_of_an_unloaded_collection_is_refused(session):
    """The row of the collection's owner is there; the new member is what is not."""
    user = session.get_one(User, 1)
    with session.no_autoflush:
        session.add(Avatar(name="new", user=user))
        with pytest.raises(PendingEntityError):
            snapshot(user, User.avatars)


def test_a_member_that_left_an_unloaded_collection_is_not_in_it(session):
    """As the entity reads, before the flush."""
    session.add(User(id=2, name="Nona"))
    session.commit()
    with session.no_autoflush:
        user = session.get_one(User, 1)
        session.get_one(Avatar, 1).user = session.get_one(User, 2)
        assert [avatar.id for avatar in snapshot(user, User.avatars).avatars] == [2]


def test_a_member_that_joined_an_unloaded_collection_is_in_it(session):
    """As the entity reads, before the flush."""
    session.add(User(id=2, name="Nona"))
    session.commit()
    with session.no_autoflush:
        other = session.get_one(User, 2)
        session.get_one(Avatar, 1).user = other
        assert [avatar.id for avatar in snapshot(other, User.avatars).avatars] == [1]


def test_a_path_below_an_expunged_member_is_an_error(session):
    """It is detached; its row is there."""
    user = session.get_one(User, 1)
    session.expunge(user.avatars[0])
    with pytest.raises(DetachedEntityError, match=r"Avatar\.photos"):
        snapshot(user, User.avatars, Avatar.photos)
